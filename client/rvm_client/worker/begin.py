"""What a worker does before its first job. Imported while the server starts."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rvm_client.config import Settings
from rvm_client.download import DownloadLimits
from rvm_client.encode import check_encoders
from rvm_client.errors import ConfigError, GpuMemoryError, ServerError, StoppedError
from rvm_client.isolated import DecoderLimits, DecoderPool
from rvm_client.job import DEFAULT_DOWNSAMPLE_RATIO
from rvm_client.matte import (
    Credentials,
    MattingModel,
    RemoteServers,
    check_golden_frames,
    probe_within,
    shared_room_bytes,
    warm_up,
)
from rvm_client.options import Limits
from rvm_client.pipeline import QUEUE_DEPTH, jobs_at_once
from rvm_client.server import ServerSupply, StartingServer, Supervisor
from rvm_client.upload import choose_store
from rvm_client.worker.cold_start import ColdStart
from rvm_client.worker.handler import Handler
from rvm_client.worker.log import open_log
from rvm_client.worker.metrics import OwnTriton, RemoteTriton, WorkerMetrics
from rvm_client.worker.metrics_page import MetricsPage
from rvm_client.worker.run import JobContext
from rvm_client.worker.stopping import ServerWatch

_LOG = logging.getLogger(__name__)


def take_jobs(settings: Settings, starting: StartingServer | None, cold_start: ColdStart) -> int:
    """Check everything, then take jobs until told to stop.

    Args:
        settings: the environment.
        starting: our own server; None: the one at `settings.triton_url`, which is there already.
        cold_start: gets what the beginning takes.

    Returns:
        The exit status: 0, or a server error's where our server could not be kept there.

    Raises:
        RvmError: the worker cannot begin; a sentence for the user.
        StoppedError: a signal came where RunPod's SDK does not wait for the job.
    """
    import runpod.serverless

    log = open_log(settings)
    metrics = WorkerMetrics(cold_start)
    store = choose_store(settings)
    cold_start.end("imports")
    with ExitStack() as stack:
        page = MetricsPage(metrics.page, settings.metrics_host, settings.metrics_port)
        stack.enter_context(page)
        decoders = _decoders(stack, settings)
        supervisor = None
        if starting is not None:
            supervisor = stack.enter_context(_supervisor(settings, starting))
            cold_start.note_server(starting, supervisor.server)
            cold_start.end("Triton")
        if decoders is not None:
            decoders.ready()
        servers = supervisor or _remote_server(settings)
        metrics.triton = OwnTriton(supervisor) if supervisor else RemoteTriton(servers)
        open_model = partial(MattingModel.configured, servers, settings)
        ours = supervisor.server.options.model_repository if supervisor else None
        limits = _checked_limits(settings, open_model, cold_start, ours)
        context = JobContext(
            open_model=open_model,
            store=store,
            download_limits=DownloadLimits(
                max_bytes=settings.max_download_bytes,
                total_timeout_s=settings.download_timeout_s,
                allow_private_addresses=settings.allow_private_addresses,
            ),
            limits=limits,
            upload_timeout_s=settings.upload_timeout_s,
            job_timeout_s=settings.job_timeout_s,
            decoders=decoders,
        )
        _register_checks(context, cold_start)
        watch = None if supervisor is None else stack.enter_context(ServerWatch(supervisor))
        handler = Handler(context, log, watch, cold_start, metrics)
        log.info(f"metrics: {page.url}")
        work = {
            "handler": handler.__call__,
            "concurrency_modifier": lambda _current: limits.jobs_at_once,
        }
        try:
            runpod.serverless.start(work)
        except SystemExit:
            # At a signal RunPod's SDK lets jobs finish, but not the one of --test_input.
            if handler.has_cut_off_a_job:
                raise StoppedError("the job was stopped before it was done") from None
            raise
        return ServerError.exit_code if watch is not None and watch.has_ended else 0


def _decoders(stack: ExitStack, settings: Settings) -> DecoderPool | None:
    """The processes for strangers' files. The first starts beside the server."""
    if not settings.decoder_process:
        return None
    uses_gpu = Limits.configured(settings).hardware.has_gpu
    return stack.enter_context(DecoderPool(DecoderLimits.configured(settings), uses_gpu=uses_gpu))


def _supervisor(settings: Settings, starting: StartingServer) -> Supervisor:
    return Supervisor(starting.ready(), probe_within(settings.request_timeout_s))


def _remote_server(settings: Settings) -> ServerSupply:
    """The server that somebody else keeps; it has to be there already."""
    assert settings.triton_url is not None
    MattingModel.configured(settings.triton_url, settings).close()
    probe = probe_within(settings.request_timeout_s, Credentials.configured(settings))
    return RemoteServers((settings.triton_url,), probe, settings.reconnect_timeout_s)


def _checked_limits(
    settings: Settings,
    open_model: Callable[[], MattingModel],
    cold_start: ColdStart,
    repository: Path | None,
) -> Limits:
    """What jobs are allowed, once the server has shown what it is; `repository` is ours."""
    with open_model() as model:
        if repository is not None:
            _check_fitness(settings, model, repository)
            cold_start.end("golden frame")
        limits = Limits.configured(settings, jobs_at_once=jobs_at_once(settings, model))
        if model.runs_on_gpu:
            _warm_up(model, limits)
            cold_start.end("warm-up")
        return limits


def _warm_up(model: MattingModel, limits: Limits) -> None:
    """Requests as of jobs that choose no ratio."""
    room_bytes = shared_room_bytes(limits.jobs_at_once)
    try:
        warm_up(model, DEFAULT_DOWNSAMPLE_RATIO, queue_depth=QUEUE_DEPTH, room_bytes=room_bytes)
    except GpuMemoryError as exc:
        # Jobs go on with fewer frames a request.
        _LOG.warning("The warm-up was given up: %s", exc)


def _check_fitness(settings: Settings, model: MattingModel, repository: Path) -> None:
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
    check_golden_frames(model, repository)


def _register_checks(context: JobContext, cold_start: ColdStart) -> None:
    """What RunPod's SDK runs before it asks for jobs; a failure ends the worker."""
    import runpod.serverless

    def check_encoders_work() -> None:
        check_encoders()

    def check_model() -> None:
        context.open_model().close()

    def check_store() -> None:
        context.store.check()
        cold_start.end("checks")

    for check in (check_encoders_work, check_model, check_store):
        runpod.serverless.register_fitness_check(check)
