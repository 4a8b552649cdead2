"""What RunPod's SDK calls for every job. Imported while the server starts."""

import asyncio
import contextvars
import logging
import threading
from concurrent import futures
from contextlib import ExitStack
from typing import Any

from rvm_client.config import Settings
from rvm_client.download import DownloadLimits
from rvm_client.encode import check_encoders
from rvm_client.errors import ConfigError, GpuLostError, GpuMemoryError, RvmError, ServerError
from rvm_client.machine import available_cores
from rvm_client.matte import MattingModel, check_golden_frames, shared_room_bytes, warm_up
from rvm_client.options import Limits
from rvm_client.pipeline import QUEUE_DEPTH
from rvm_client.server import StartingServer
from rvm_client.upload import choose_store
from rvm_client.worker.cold_start import ColdStart
from rvm_client.worker.job import DEFAULT_DOWNSAMPLE_RATIO, parse_job
from rvm_client.worker.log import JOB_ID, Log, open_log
from rvm_client.worker.progress import ProgressReporter, Send
from rvm_client.worker.run import JobContext, JobReport, run_job
from rvm_client.worker.stopping import SecondSignal, ServerWatch

_LOG = logging.getLogger(__name__)

# What a job that was told to stop has to end and to tidy up.
_TIDY_S = 2.0
# While one job waits for the network, another can use the GPU. Decoding and encoding two at a
# time takes cores.
_JOBS_ON_GPU = 2
_CORES_FOR_SEVERAL_JOBS = 8


class Handler:
    """What RunPod calls for every job, for as many at a time as the context's limits say."""

    def __init__(
        self, context: JobContext, log: Log, watch: ServerWatch | None, cold_start: ColdStart
    ) -> None:
        self._context = context
        self._log = log
        self._watch = watch
        self._cold_start = cold_start
        self._pool = futures.ThreadPoolExecutor(
            context.limits.jobs_at_once, thread_name_prefix="job"
        )
        self._running: dict[futures.Future[dict[str, Any]], threading.Event] = {}
        self._second_signal = SecondSignal(self._end_at_once)

    async def __call__(self, job: dict[str, Any]) -> dict[str, Any]:
        """Do one job. A failure is `{"error": one sentence}`, whatever it was."""
        self._second_signal.watch()
        job_id = str(job.get("id", "local"))
        JOB_ID.set(job_id)
        try:
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
        parsed = parse_job(job.get("input"))
        self._log.info(f"started: {parsed.output_type.value}", job_id)
        async with ProgressReporter(_sender(job, self._log)) as reporter:
            cancelled = threading.Event()
            report = JobReport(reporter.update, cancelled, self._say_cold_start)
            # The thread gets the job's id, too.
            run = contextvars.copy_context().run
            thread = self._pool.submit(run, run_job, parsed, self._context, report)
            self._running[thread] = cancelled
            work = asyncio.wrap_future(thread)
            try:
                output = await asyncio.shield(work)
            except asyncio.CancelledError:
                cancelled.set()
                await asyncio.wait([work])
                self._log.info("cancelled", job_id)
                raise
            finally:
                del self._running[thread]
        self._log.info(f"done: {output['frames']} frames, seconds {output['seconds']}", job_id)
        return output

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
        if isinstance(exc, GpuLostError):
            return True
        if self._watch is None or not isinstance(exc, ServerError):
            return False
        return self._watch.server_is_gone()

    def _failure(self, sentence: str, *, needs_new_worker: bool = False) -> dict[str, Any]:
        result: dict[str, Any] = {"error": sentence}
        if needs_new_worker:
            # RunPod then replaces this worker by one with a server that lives.
            result["refresh_worker"] = True
        return result


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


def take_jobs(settings: Settings, starting: StartingServer | None, cold_start: ColdStart) -> int:
    """Check everything, then take jobs until told to stop.

    Args:
        settings: the environment.
        starting: our own server; None: the one at `settings.triton_url`, which is there already.
        cold_start: gets what the beginning takes.

    Returns:
        The exit status: 0, or a server error's where our server ended by itself.

    Raises:
        RvmError: the worker cannot begin; a sentence for the user.
    """
    import runpod.serverless

    log = open_log(settings)
    store = choose_store(settings)
    cold_start.end("imports")
    server = None if starting is None else starting.ready()
    if starting is not None and server is not None:
        cold_start.note_server(starting, server)
        cold_start.end("Triton")
    url = settings.triton_url if server is None else server.grpc_url
    assert url is not None
    with MattingModel(url, request_timeout_s=settings.request_timeout_s) as model:
        if server is not None:
            _check_fitness(settings, model)
            cold_start.end("golden frame")
        limits = Limits.configured(settings, jobs_at_once=jobs_at_once(settings, model))
        if model.runs_on_gpu:
            _warm_up(model, limits)
            cold_start.end("warm-up")
    context = JobContext(
        triton_url=url,
        request_timeout_s=settings.request_timeout_s,
        store=store,
        download_limits=DownloadLimits(
            max_bytes=settings.max_download_bytes,
            allow_private_addresses=settings.allow_private_addresses,
        ),
        limits=limits,
    )
    _register_checks(context, cold_start)
    with ExitStack() as stack:
        watch = None if server is None else stack.enter_context(ServerWatch(server))
        handler = Handler(context, log, watch, cold_start)
        runpod.serverless.start(
            {
                "handler": handler.__call__,
                "concurrency_modifier": lambda _current: limits.jobs_at_once,
            }
        )
        return ServerError.exit_code if watch is not None and watch.has_ended else 0


def jobs_at_once(settings: Settings, model: MattingModel) -> int:
    """How many jobs are done at a time: the setting, else what fits the machine."""
    if settings.jobs_at_once:
        return settings.jobs_at_once
    has_cores = available_cores() >= _CORES_FOR_SEVERAL_JOBS
    return _JOBS_ON_GPU if model.runs_on_gpu and has_cores else 1


def _warm_up(model: MattingModel, limits: Limits) -> None:
    """Requests as of jobs that choose no ratio."""
    room_bytes = shared_room_bytes(limits.jobs_at_once)
    try:
        warm_up(model, DEFAULT_DOWNSAMPLE_RATIO, queue_depth=QUEUE_DEPTH, room_bytes=room_bytes)
    except GpuMemoryError as exc:
        # Jobs go on with fewer frames a request.
        _LOG.warning("The warm-up was given up: %s", exc)


def _check_fitness(settings: Settings, model: MattingModel) -> None:
    """Make sure that our server computes where and what it must.

    Raises:
        ConfigError: the model runs on a processor, where a GPU is demanded.
        ServerError: it gives other mattes than it was exported to give.
    """
    if settings.require_gpu and not model.runs_on_gpu:
        raise ConfigError(
            "the Triton server runs the model on a processor, and RVM_REQUIRE_GPU demands a "
            "GPU: there is none in the container, or its driver is too old for Triton's "
            "CUDA; RVM_REQUIRE_GPU=false takes jobs all the same"
        )
    check_golden_frames(model, settings.model_repository)


def _register_checks(context: JobContext, cold_start: ColdStart) -> None:
    """What RunPod's SDK runs before it asks for jobs; a failure ends the worker."""
    import runpod.serverless

    def check_encoders_work() -> None:
        check_encoders()

    def check_model() -> None:
        MattingModel(context.triton_url).close()

    def check_store() -> None:
        context.store.check()
        cold_start.end("checks")

    for check in (check_encoders_work, check_model, check_store):
        runpod.serverless.register_fitness_check(check)
