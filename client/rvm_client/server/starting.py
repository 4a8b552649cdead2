"""A Triton server that starts while whoever needs it does something else."""

import contextlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from rvm_client.closing import Closing
from rvm_client.errors import RvmError
from rvm_client.server.server import ServerOptions, TritonServer
from rvm_client.stopwatch import Stopwatch


class StartingServer(Closing):
    """A server on its way; a context manager that stops it at the end, ready or not.

        with StartingServer(options) as starting:
            ...  # what needs no server
            server = starting.ready()

    Args:
        options: as for `TritonServer.start`.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._abandoned = threading.Event()
        self._watch = Stopwatch()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="server start")
        self._server: Future[TritonServer] | None = None

    def __enter__(self) -> "StartingServer":
        self._server = self._pool.submit(self._start)
        return self

    @property
    def seconds(self) -> float:
        """How long the start took, once the server is ready."""
        return self._watch.seconds

    def ready(self) -> TritonServer:
        """The server, as soon as it is ready. Raises as `TritonServer.start`."""
        assert self._server is not None
        return self._server.result()

    def close(self) -> None:
        """Stop the server, ready or not."""
        assert self._server is not None
        self._abandoned.set()
        # What went wrong at the start was raised by `ready`, or does not matter any more.
        with contextlib.suppress(RvmError):
            self._server.result().stop()
        self._pool.shutdown()

    def _start(self) -> TritonServer:
        with self._watch:
            return TritonServer.start(self._options, self._abandoned.is_set)
