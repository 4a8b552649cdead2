"""Servers that several tests share."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rvm_client.errors import ServerLostError, StoppedError
from rvm_client.matte import probe_within
from rvm_client.server import ServerOptions, Supervisor, TritonServer

_POLL_S = 0.2


@contextmanager
def shared_server(options: ServerOptions) -> Iterator[TritonServer]:
    """A server for tests that leave it running.

    NVIDIA's embedded server ends by itself when its model's process gets no time for a second, as
    on a machine that is paused: then another takes its place, as with `rvm-serve`, and the tests'
    summary says so.
    """
    with Supervisor(TritonServer.start(options), probe_within(60)) as supervisor:
        is_over = threading.Event()
        keeper = threading.Thread(target=_keep, args=(supervisor, is_over), name="keeper")
        keeper.start()
        try:
            yield supervisor.server
        finally:
            is_over.set()
            keeper.join()


def _keep(supervisor: Supervisor, is_over: threading.Event) -> None:
    while not is_over.wait(_POLL_S):
        address = supervisor.address
        try:
            supervisor.server.check_alive()
        except ServerLostError as lost:
            warnings.warn(f"a shared server was replaced: {lost}", stacklevel=1)
            with suppress(StoppedError):
                supervisor.replacement(address, is_over.is_set)
