"""What RunPod's SDK calls for every job. Imported while the server starts."""

import asyncio
import threading
from concurrent import futures
from contextlib import ExitStack
from typing import Any, Protocol

from rvm_client.config import Settings
from rvm_client.download import DownloadLimits
from rvm_client.encode import check_encoders
from rvm_client.errors import ConfigError, GpuLostError, RvmError, ServerError
from rvm_client.isolated import DecoderLimits, DecoderPool
from rvm_client.matte import MattingModel, check_golden_frames
from rvm_client.options import Limits
from rvm_client.server import StartingServer, TritonServer
from rvm_client.upload import Store, choose_store
from rvm_client.worker.job import parse_job
from rvm_client.worker.progress import ProgressReporter, Send
from rvm_client.worker.run import JobContext, JobReport, run_job
from rvm_client.worker.stopping import SecondSignal, ServerWatch

# What a job that was told to stop has to end and to tidy up.
_TIDY_S = 2.0


class Log(Protocol):
    """RunPod's logger: one JSON line with the job's id on RunPod, plain text elsewhere."""

    def info(self, message: str, request_id: str | None = None) -> None: ...
    def error(self, message: str, request_id: str | None = None) -> None: ...


class Handler:
    """What RunPod calls for every job."""

    def __init__(self, context: JobContext, log: Log, watch: ServerWatch | None) -> None:
        self._context = context
        self._log = log
        self._watch = watch
        self._pool = futures.ThreadPoolExecutor(thread_name_prefix="job")
        self._running: dict[futures.Future[dict[str, Any]], threading.Event] = {}
        self._second_signal = SecondSignal(self._end_at_once)

    async def __call__(self, job: dict[str, Any]) -> dict[str, Any]:
        """Do one job. A failure is `{"error": one sentence}`, whatever it was."""
        self._second_signal.watch()
        job_id = str(job.get("id", "local"))
        try:
            return await self._do(job, job_id)
        except RvmError as exc:
            self._log.error(f"failed: {exc}", job_id)
            return self._failure(str(exc), needs_new_worker=self._is_beyond_help(exc))
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
            thread = self._pool.submit(run_job, parsed, self._context, report)
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


def take_jobs(settings: Settings, starting: StartingServer | None) -> int:
    """Check everything, then take jobs until told to stop.

    Args:
        settings: the environment.
        starting: our own server; None: the one at `settings.triton_url`, which is there already.

    Returns:
        The exit status: 0, or a server error's where our server ended by itself.

    Raises:
        RvmError: the worker cannot begin; a sentence for the user.
    """
    import runpod.serverless

    store = choose_store(settings)
    with ExitStack() as stack:
        decoders = _decoders(stack, settings)
        server = None if starting is None else starting.ready()
        if decoders is not None:
            decoders.ready()
        context = _context(settings, store, server, decoders)
        if server is not None:
            _check_fitness(settings, server)
        _register_checks(context)
        watch = None if server is None else stack.enter_context(ServerWatch(server))
        handler = Handler(context, _log(settings), watch)
        runpod.serverless.start({"handler": handler.__call__})
        return ServerError.exit_code if watch is not None and watch.has_ended else 0


def _decoders(stack: ExitStack, settings: Settings) -> DecoderPool | None:
    """The processes for strangers' files. The first starts beside the server."""
    if not settings.decoder_process:
        return None
    uses_gpu = Limits.configured(settings).hardware.has_gpu
    return stack.enter_context(DecoderPool(DecoderLimits.configured(settings), uses_gpu=uses_gpu))


def _context(
    settings: Settings, store: Store, server: TritonServer | None, decoders: DecoderPool | None
) -> JobContext:
    return JobContext(
        triton_url=_triton_url(settings, server),
        request_timeout_s=settings.request_timeout_s,
        store=store,
        download_limits=DownloadLimits(
            max_bytes=settings.max_download_bytes,
            allow_private_addresses=settings.allow_private_addresses,
        ),
        limits=Limits.configured(settings),
        decoders=decoders,
    )


def _triton_url(settings: Settings, server: TritonServer | None) -> str:
    """Where the model is; a server that is not ours has to be there already."""
    if server is not None:
        return server.grpc_url
    assert settings.triton_url is not None
    MattingModel(settings.triton_url).close()
    return settings.triton_url


def _check_fitness(settings: Settings, server: TritonServer) -> None:
    """Make sure that our server computes where and what it must.

    Raises:
        ConfigError: the model runs on a processor, where a GPU is demanded.
        ServerError: it gives other mattes than it was exported to give.
    """
    with MattingModel(server.grpc_url, request_timeout_s=settings.request_timeout_s) as model:
        if settings.require_gpu and not model.runs_on_gpu:
            raise ConfigError(
                "the Triton server runs the model on a processor, and RVM_REQUIRE_GPU demands a "
                "GPU: there is none in the container, or its driver is too old for Triton's "
                "CUDA; RVM_REQUIRE_GPU=false takes jobs all the same"
            )
        check_golden_frames(model, settings.model_repository)


def _log(settings: Settings) -> Log:
    from runpod.serverless.modules.rp_logger import RunPodLogger

    log = RunPodLogger()
    # Below INFO the SDK prints whole jobs and results, signed URLs included.
    log.level = "INFO" if settings.log_level in ("DEBUG", "TRACE") else settings.log_level
    typed: Log = log
    return typed


def _register_checks(context: JobContext) -> None:
    """What RunPod's SDK runs before it asks for jobs; a failure ends the worker."""
    import runpod.serverless

    def check_encoders_work() -> None:
        check_encoders()

    def check_model() -> None:
        MattingModel(context.triton_url).close()

    def check_store() -> None:
        context.store.check()

    for check in (check_encoders_work, check_model, check_store):
        runpod.serverless.register_fitness_check(check)
