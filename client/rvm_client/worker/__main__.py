"""The container's command, `python -m rvm_client.worker`: Triton and RunPod's jobs in one program.

It starts Triton, takes jobs when it is ready, and ends both together:

- SIGTERM or SIGINT lets the current jobs finish; a second one stops at once. The one job of
  `--test_input` is stopped by the first, with status 130.
- A Triton that ends or hangs is started anew; where that fails, the worker ends too, and RunPod
  replaces it.

RunPod's own options work as it documents them: `--test_input '{"input": {...}}'` does one job,
`--rp_serve_api` serves the local API. The exit status is 0 after a signal, 1 where the worker
cannot begin, and 4 where Triton did not start, at first or anew.
"""

import importlib.util
import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rvm_client.config import Settings, load_settings
from rvm_client.errors import ConfigError, RvmError, ServerStartError, StoppedError
from rvm_client.machine import keep_memory_private, share_one_heap
from rvm_client.owned import sweep
from rvm_client.server import SEGMENT_FOLDER, ServerOptions, StartingServer
from rvm_client.signals import signals_held, stop_on_signals
from rvm_client.worker.cold_start import ColdStart


def main() -> None:
    """Start Triton, check everything, then take jobs until told to stop."""
    cold_start = ColdStart()
    stop_on_signals()
    share_one_heap()
    keep_memory_private()
    try:
        status = _run(load_settings(), cold_start)
    except KeyboardInterrupt:
        status = 0
    except RvmError as exc:
        print(f"error: {exc}", file=sys.stderr)
        status = exc.exit_code if isinstance(exc, ServerStartError | StoppedError) else 1
    sys.exit(status)


def _run(settings: Settings, cold_start: ColdStart) -> int:
    """Take jobs until told to stop. Returns the exit status."""
    for package in ("runpod", "prometheus_client"):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"{package} is not installed: pip install 'rvm-triton[worker]'")
    # What killed workers left goes before the first job, not only with it.
    sweep(Path(tempfile.gettempdir()), "rvm-job-")
    with ExitStack() as stack:
        starting = None
        if settings.triton_url is None:
            _warn_of_small_shared_memory(settings)
            starting = stack.enter_context(StartingServer(_server_options(settings)))
        # RunPod's SDK, PyAV and gRPC take seconds to import: meanwhile the server starts.
        with signals_held():
            from rvm_client.worker.begin import take_jobs

        return take_jobs(settings, starting, cold_start)


def _server_options(settings: Settings) -> ServerOptions:
    return replace(
        ServerOptions.serving(settings),
        grpc_port=settings.grpc_port,
        http_port=settings.http_port,
        # The worker's own page has them, too, and decides who sees them.
        metrics_host="127.0.0.1",
        log_stream=sys.stderr if _shows_server_log(settings) else None,
    )


def _shows_server_log(settings: Settings) -> bool:
    return settings.log_level in ("DEBUG", "TRACE") or settings.triton_log_verbose > 0


def _warn_of_small_shared_memory(settings: Settings) -> None:
    """Not refused: frames can go over gRPC, too, and RunPod decides on the size there."""
    try:
        size_bytes = shutil.disk_usage(SEGMENT_FOLDER).total
    except OSError:
        size_bytes = 0
    if size_bytes < settings.min_shm_bytes:
        print(
            f"warning: {SEGMENT_FOLDER} has {size_bytes >> 20} MiB, and frames in shared memory "
            f"need {settings.min_shm_bytes >> 20} MiB; give the container more with: "
            "docker run --shm-size 1g",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
