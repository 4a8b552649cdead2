"""The RunPod worker: `python -m rvm_client.worker`.

RunPod's own options work as it documents them: `--test_input '{"input": {...}}'` does one job,
`--rp_serve_api` serves the local API.
"""

import asyncio
import signal
import sys
import threading
from contextlib import ExitStack
from types import FrameType
from typing import Any, NoReturn, Protocol

from rvm_client.config import Settings, load_settings
from rvm_client.download import DownloadLimits
from rvm_client.encode import check_encoders
from rvm_client.errors import RvmError
from rvm_client.machine import Hardware, share_one_heap
from rvm_client.matte import MattingModel
from rvm_client.options import Limits
from rvm_client.server import ServerOptions, StartingServer, TritonServer
from rvm_client.upload import choose_store
from rvm_client.worker.job import parse_job
from rvm_client.worker.progress import ProgressReporter, Send
from rvm_client.worker.run import JobContext, JobReport, run_job


class Log(Protocol):
    """RunPod's logger: one JSON line with the job's id on RunPod, plain text elsewhere."""

    def info(self, message: str, request_id: str | None = None) -> None: ...
    def error(self, message: str, request_id: str | None = None) -> None: ...


class Handler:
    """What RunPod calls for every job."""

    def __init__(self, context: JobContext, log: Log, server: TritonServer | None) -> None:
        self._context = context
        self._log = log
        self._server = server

    async def __call__(self, job: dict[str, Any]) -> dict[str, Any]:
        """Do one job. A failure is `{"error": one sentence}`, whatever it was."""
        job_id = str(job.get("id", "local"))
        try:
            return await self._do(job, job_id)
        except RvmError as exc:
            self._log.error(f"failed: {exc}", job_id)
            return self._failure(str(exc))
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
            report = JobReport(reporter.update, cancelled)
            work = asyncio.create_task(asyncio.to_thread(run_job, parsed, self._context, report))
            try:
                output = await asyncio.shield(work)
            except asyncio.CancelledError:
                cancelled.set()
                await asyncio.wait([work])
                self._log.info("cancelled", job_id)
                raise
        self._log.info(f"done: {output['frames']} frames, seconds {output['seconds']}", job_id)
        return output

    def _failure(self, sentence: str) -> dict[str, Any]:
        result: dict[str, Any] = {"error": sentence}
        if self._server is not None and self._server.poll() is not None:
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


def main() -> None:
    """Start Triton, check everything, then take jobs until told to stop."""
    signal.signal(signal.SIGTERM, _terminate)
    share_one_heap()
    try:
        settings = load_settings()
        with ExitStack() as stack:
            starting = None
            if settings.triton_url is None:
                starting = stack.enter_context(StartingServer(ServerOptions.configured(settings)))
            # While the server starts: RunPod's SDK and the stores' take seconds to import.
            import runpod.serverless  # noqa: F401

            store = choose_store(settings)
            server = None if starting is None else starting.ready()
            context = JobContext(
                triton_url=_triton_url(settings, server),
                request_timeout_s=settings.request_timeout_s,
                store=store,
                download_limits=DownloadLimits(
                    max_bytes=settings.max_download_bytes,
                    allow_private_addresses=settings.allow_private_addresses,
                ),
                limits=Limits.configured(settings),
                hardware=Hardware.configured(settings),
            )
            _take_jobs(context, server, settings)
    except RvmError as exc:
        sys.exit(f"error: {exc}")


def _triton_url(settings: Settings, server: TritonServer | None) -> str:
    """Where the model is; a server that is not ours has to be there already."""
    if server is not None:
        return server.grpc_url
    assert settings.triton_url is not None
    MattingModel(settings.triton_url).__exit__(None, None, None)
    return settings.triton_url


def _take_jobs(context: JobContext, server: TritonServer | None, settings: Settings) -> None:
    import runpod
    from runpod.serverless.modules.rp_logger import RunPodLogger

    log = RunPodLogger()
    # Below INFO the SDK prints whole jobs and results, signed URLs included.
    log.level = "INFO" if settings.log_level in ("DEBUG", "TRACE") else settings.log_level

    def check_encoders_work() -> None:
        check_encoders()

    def check_model() -> None:
        MattingModel(context.triton_url).__exit__(None, None, None)

    def check_store() -> None:
        context.store.check()

    for check in (check_encoders_work, check_model, check_store):
        runpod.serverless.register_fitness_check(check)
    runpod.serverless.start({"handler": Handler(context, log, server).__call__})


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
