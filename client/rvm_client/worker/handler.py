"""What RunPod's SDK calls for every job."""

import asyncio
import contextvars
import re
import threading
from concurrent import futures
from typing import Any

from rvm_client.errors import GpuLostError, RvmError, ServerLostError, ServerStartError
from rvm_client.job import parse_job
from rvm_client.worker.cold_start import ColdStart
from rvm_client.worker.log import JOB_ID, Log
from rvm_client.worker.metrics import WorkerMetrics
from rvm_client.worker.progress import ProgressReporter, Send
from rvm_client.worker.run import JobContext, JobReport, run_job
from rvm_client.worker.stopping import SecondSignal, ServerWatch

# What a job that was told to stop has to end and to tidy up.
_TIDY_S = 2.0
_LONGEST_ID_CHARACTERS = 80


class Handler:
    """What RunPod calls for every job, for as many at a time as the context's limits say."""

    def __init__(
        self,
        context: JobContext,
        log: Log,
        watch: ServerWatch | None,
        cold_start: ColdStart,
        metrics: WorkerMetrics,
    ) -> None:
        self._context = context
        self._log = log
        self._watch = watch
        self._cold_start = cold_start
        self._metrics = metrics
        self._pool = futures.ThreadPoolExecutor(
            context.limits.jobs_at_once, thread_name_prefix="job"
        )
        self._running: dict[futures.Future[dict[str, Any]], threading.Event] = {}
        self._second_signal = SecondSignal(self._end_at_once)
        self.has_cut_off_a_job = False
        metrics.jobs_in_progress.set_function(self._jobs_in_progress)
        metrics.jobs_waiting.set_function(self._jobs_waiting)

    async def __call__(self, job: dict[str, Any]) -> dict[str, Any]:
        """Do one job. A failure is `{"error": one sentence}`, whatever it was."""
        self._second_signal.watch()
        job_id = str(job.get("id", "local"))
        JOB_ID.set(job_id)
        try:
            with self._metrics.job():
                return await self._do(job, job_id)
        except RvmError as exc:
            self._log.error(f"failed: {exc}", job_id)
            if not self._is_beyond_help(exc):
                return self._failure(str(exc))
            # RunPod ends the worker with this result: the other jobs come first.
            await asyncio.to_thread(futures.wait, list(self._running))
            return self._failure(str(exc), needs_new_worker=True)
        except Exception as exc:
            # The sentence must not carry what we do not know to be harmless; the log may.
            self._log.error(f"failed: {type(exc).__name__} at {_where(exc)}", job_id)
            return self._failure(
                f"an internal error ({type(exc).__name__}) stopped the job; the worker's log "
                f"has more under the job's id {job_id}"
            )

    async def _do(self, job: dict[str, Any], job_id: str) -> dict[str, Any]:
        parsed = parse_job(job.get("input"), job.get("s3Config"))
        self._log.info(f"started: {parsed.output_type.value}", job_id)
        async with ProgressReporter(_sender(job, self._log)) as reporter:
            cancelled = threading.Event()
            report = JobReport(
                reporter.update, cancelled, self._say_cold_start, request_id=as_request_id(job_id)
            )
            # The thread gets the job's id, too.
            run = contextvars.copy_context().run
            thread = self._pool.submit(run, run_job, parsed, self._context, report)
            self._running[thread] = cancelled
            work = asyncio.wrap_future(thread)
            try:
                output = await asyncio.shield(work)
            except asyncio.CancelledError:
                cancelled.set()
                await asyncio.gather(work, return_exceptions=True)
                self.has_cut_off_a_job = True
                self._log.info("cancelled", job_id)
                raise
            finally:
                del self._running[thread]
        self._metrics.note_result(output)
        self._log.info(f"done: {output['frames']} frames, seconds {output['seconds']}", job_id)
        return output

    def _jobs_in_progress(self) -> int:
        return sum(thread.running() for thread in list(self._running))

    def _jobs_waiting(self) -> int:
        return sum(not (thread.running() or thread.done()) for thread in list(self._running))

    def _say_cold_start(self, job_started_s: float, source_there_s: float) -> None:
        sentence = self._cold_start.first_frame(job_started_s, source_there_s)
        if sentence is not None:
            self._log.info(sentence, JOB_ID.get())

    def _end_at_once(self) -> None:
        """Stop all jobs and the server, as far as that takes no time."""
        for cancelled in self._running.values():
            cancelled.set()
        if self._watch is not None:
            self._watch.end_server()
        futures.wait(self._running, _TIDY_S)

    def _is_beyond_help(self, exc: RvmError) -> bool:
        """Whether the next job would fail as this one did."""
        ours = self._watch is not None and isinstance(exc, ServerLostError | ServerStartError)
        return ours or isinstance(exc, GpuLostError)

    def _failure(self, sentence: str, *, needs_new_worker: bool = False) -> dict[str, Any]:
        result: dict[str, Any] = {"error": sentence}
        if needs_new_worker:
            # RunPod then replaces this worker by one with a server that lives.
            result["refresh_worker"] = True
        return result


def as_request_id(job_id: str) -> str:
    """A job's id as it stands in Triton's log: RunPod's as it is, else what is no word replaced."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", job_id)[:_LONGEST_ID_CHARACTERS]


def _where(exc: BaseException) -> str:
    """File and line of the innermost call; no values, which may be secret."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"


def _sender(job: dict[str, Any], log: Log) -> Send:
    """How a progress message reaches the job's status; off RunPod, the log."""
    from runpod.http_client import AsyncClientSession
    from runpod.serverless.modules.rp_http import JOB_DONE_URL, send_result

    async def to_runpod(message: str) -> None:
        # What runpod.serverless.progress_update does in a thread of its own, unordered.
        async with AsyncClientSession() as session:
            await send_result(session, {"status": "IN_PROGRESS", "output": message}, job)

    async def to_log(message: str) -> None:
        log.info(message, str(job.get("id", "local")))

    on_runpod = JOB_DONE_URL.startswith("http") and "id" in job
    return to_runpod if on_runpod else to_log
