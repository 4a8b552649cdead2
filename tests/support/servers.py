"""Servers that several tests share."""

from collections.abc import Iterator
from contextlib import contextmanager

from rvm_client.server import ServerOptions, TritonServer


@contextmanager
def shared_server(options: ServerOptions) -> Iterator[TritonServer]:
    """A server for tests that leave it running. If it did not last, the end says why."""
    with TritonServer.start(options) as server:
        yield server
        server.check_alive()
