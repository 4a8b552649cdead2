"""Servers that somebody else keeps: when one is lost, another does, or it is waited for."""

import time
from collections.abc import Callable, Sequence

from rvm_client.errors import ServerLostError, StoppedError
from rvm_client.server import Probe, ServerAddress

_POLL_S = 0.5


class RemoteServers:
    """A ServerSupply of the servers at one address or several.

    Args:
        urls: HOST:PORT of each Triton's gRPC endpoint; the first comes first.
        probe: lets the server there do a small request. Raises ServerError.
        reconnect_s: how long all servers may be away.
    """

    def __init__(self, urls: Sequence[str], probe: Probe, reconnect_s: float) -> None:
        self._urls = urls
        self.address = ServerAddress(urls[0])
        self._probe = probe
        self._reconnect_s = reconnect_s

    def replacement(self, lost: ServerAddress, is_stopped: Callable[[], bool]) -> ServerAddress:
        """See ServerSupply. Raises the last error when no server comes back."""
        deadline = time.monotonic() + self._reconnect_s
        after = self._urls.index(lost.url) + 1
        while True:
            for url in (*self._urls[after:], *self._urls[:after]):
                if is_stopped():
                    raise StoppedError("the work was stopped while the Triton server was away")
                try:
                    self._probe(url, is_stopped)
                    self.address = ServerAddress(url, lost.generation + 1)
                    return self.address
                except ServerLostError as exc:
                    again = exc
            if time.monotonic() > deadline:
                raise again
            time.sleep(_POLL_S)
