"""Processes that wait for jobs: starting one takes longer than a job should have to wait."""

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

from rvm_client.closing import Closing
from rvm_client.errors import StoppedError
from rvm_client.isolated.opening import Opener, OpensInProcess
from rvm_client.isolated.process import DecoderLimits, DecoderProcess
from rvm_client.machine import say_once

_POLL_S = 0.05


class DecoderPool(Closing):
    """Gives each job a process of its own, and starts the next one when a job is done.

    Args:
        limits: what each may use.
        uses_gpu: whether they are to have what NVDEC needs.
    """

    def __init__(self, limits: DecoderLimits, *, uses_gpu: bool) -> None:
        self._limits, self._uses_gpu = limits, uses_gpu
        # They die with the thread that started them, so it must outlive them all.
        self._starter = futures.ThreadPoolExecutor(1, thread_name_prefix="decoder start")
        self._lock = threading.Lock()
        self._closed = False
        self._spare: futures.Future[DecoderProcess] | None = self._starting()

    @contextmanager
    def job(self, folder: Path, cancelled: threading.Event) -> Iterator[Opener]:
        """What opens the files of one job, which lie in `folder`.

        Raises:
            ConfigError: no process can be started.
            StoppedError: `cancelled` was set.
        """
        try:
            with self._taken(cancelled) as process:
                process.begin(folder, cancelled)
                _warn_of_freedom(process)
                yield OpensInProcess(process)
        finally:
            with self._lock:
                if self._spare is None and not self._closed:
                    self._spare = self._starting()

    def ready(self) -> DecoderProcess | None:
        """The process that waits for the next job, once it does; None: none is started ahead.

        Raises:
            ConfigError: it does not start.
        """
        return None if self._spare is None else self._spare.result()

    def close(self) -> None:
        """End the one that waits."""
        with self._lock:
            spare, self._spare = self._spare, None
            self._closed = True
        self._starter.shutdown()
        if spare is not None and spare.exception() is None:
            spare.result().close()

    def _starting(self) -> futures.Future[DecoderProcess]:
        return self._starter.submit(DecoderProcess, self._limits, uses_gpu=self._uses_gpu)

    def _taken(self, cancelled: threading.Event) -> DecoderProcess:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            process = _awaited(spare, cancelled)
            if process.is_alive:
                return process
            process.close()
        return _awaited(self._starting(), cancelled)


def _awaited(
    starting: futures.Future[DecoderProcess], cancelled: threading.Event
) -> DecoderProcess:
    while True:
        try:
            return starting.result(_POLL_S)
        except futures.TimeoutError:
            if cancelled.is_set():
                starting.add_done_callback(_end)
                raise StoppedError("the work was cancelled") from None


def _warn_of_freedom(process: DecoderProcess) -> None:
    if not process.refuses_calls:
        say_once(
            "This kernel or container does not let the decoder give up system calls (seccomp): it "
            "could use the network"
        )
    if not process.sees_only_the_folder:
        say_once(
            "This kernel or container does not let the decoder give up files (Landlock, Linux "
            "5.13): it can read all that the worker's user can"
        )


def _end(started: futures.Future[DecoderProcess]) -> None:
    if started.exception() is None:
        started.result().close()
