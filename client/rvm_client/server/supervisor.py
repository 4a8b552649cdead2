"""Keeps a Triton server of ours there: one that is lost is ended, and started anew."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from rvm_client.closing import Closing
from rvm_client.errors import (
    ConfigError,
    ServerError,
    ServerLostError,
    ServerStartError,
    StoppedError,
)
from rvm_client.machine import say_once
from rvm_client.server.options import ServerOptions
from rvm_client.server.server import TritonServer
from rvm_client.server.supply import ServerAddress

_LOG = logging.getLogger(__name__)

# A server that is idle gets a small request so often.
_PROBE_INTERVAL_S = 5.0
# A start may fail where a resource is short for a moment: a port, memory.
_PAUSE_S = 3.0
_POLL_S = 0.1

IsStopped = Callable[[], bool]
Probe = Callable[[str, IsStopped], None]
"""Lets the server at a gRPC URL do a small request. Raises ServerError, StoppedError."""


class Supervisor(Closing):
    """A ServerSupply of our own server, which is replaced where it stood.

    Args:
        server: the first server, which is ready.
        probe: says whether one is able to do requests. That its health endpoint says "ready" means
            little: a server whose model's process has died says so, too.
    """

    def __init__(self, server: TritonServer, probe: Probe) -> None:
        self._server = server
        self._options = server.options
        self._probe = probe
        self._generation = 0
        self._failure: ServerError | None = None
        self._replacing = threading.Lock()
        self._closed = threading.Event()

    @property
    def address(self) -> ServerAddress:
        """See ServerSupply."""
        return ServerAddress(self._server.grpc_url, self._generation)

    @property
    def server(self) -> TritonServer:
        """The server that is there now."""
        return self._server

    def replacement(self, lost: ServerAddress, is_stopped: IsStopped) -> ServerAddress:
        """See ServerSupply. Others that lost the same server get the same new one."""
        while not self._replacing.acquire(timeout=_POLL_S):
            self._check_wanted(is_stopped)
        try:
            if self._failure is not None:
                raise self._failure
            if self._generation == lost.generation:
                self._replace(is_stopped)
            return self.address
        finally:
            self._replacing.release()

    def keep(self) -> None:
        """Replace whatever server is lost, until closed.

        Raises:
            ServerError: there is no server any more.
        """
        while not self._closed.is_set():
            address = self.address
            lost = self._find_lost()
            if lost is None or self._closed.is_set():
                continue
            _LOG.warning("The Triton server is started anew: %s", lost)
            with contextlib.suppress(StoppedError):
                self.replacement(address, self._closed.is_set)

    def close(self, *, at_once: bool = False) -> None:
        """End the server; `at_once` as for `TritonServer.stop`."""
        self._closed.set()
        if at_once:
            self._server.stop(at_once=True)
        with self._replacing:
            self._server.stop(at_once=at_once)

    def _find_lost(self) -> ServerLostError | None:
        """Why the server is lost; None after a while in which it was not."""
        server = self._server
        server.wait(_PROBE_INTERVAL_S)
        try:
            server.check_alive()
            self._probe(server.grpc_url, self._closed.is_set)
        except ServerLostError as exc:
            return exc
        except ServerError as exc:
            # It does requests, if not this one: its memory may be in use.
            say_once(f"The Triton server failed a small request: {exc}")
        except StoppedError:
            pass
        return None

    def _replace(self, is_stopped: IsStopped) -> None:
        self._server.stop(at_once=True)
        ports = self._server.ports
        options = replace(
            self._options,
            grpc_port=ports.grpc,
            http_port=ports.http,
            metrics_port=ports.metrics,
        )
        try:
            self._server = self._start(options, is_stopped)
        except ServerError as exc:
            self._check_wanted(is_stopped)
            _LOG.warning("The Triton server did not start; it is tried once more: %s", exc)
            self._pause(is_stopped)
            self._server = self._start_finally(is_stopped)
        self._generation += 1

    def _start_finally(self, is_stopped: IsStopped) -> TritonServer:
        """Start a server at any of the ports that may be chosen, or give up for good."""
        try:
            return self._start(self._options, is_stopped)
        except ServerError as exc:
            self._check_wanted(is_stopped)
            self._failure = exc
            raise

    def _start(self, options: ServerOptions, is_stopped: IsStopped) -> TritonServer:
        def is_abandoned() -> bool:
            return is_stopped() or self._closed.is_set()

        try:
            server = TritonServer.start(options, is_abandoned)
        except ConfigError as exc:
            # It was right once: somebody has moved the model or the server.
            raise ServerStartError(str(exc)) from exc
        try:
            self._probe(server.grpc_url, is_abandoned)
        except BaseException:
            server.stop(at_once=True)
            raise
        return server

    def _pause(self, is_stopped: IsStopped) -> None:
        deadline = time.monotonic() + _PAUSE_S
        while time.monotonic() < deadline:
            self._check_wanted(is_stopped)
            time.sleep(_POLL_S)

    def _check_wanted(self, is_stopped: IsStopped) -> None:
        if is_stopped() or self._closed.is_set():
            raise StoppedError("the work was stopped while the Triton server was started anew")
