"""A server that somebody else keeps: when it is lost, it is waited for."""

import time
from collections.abc import Callable

from rvm_client.errors import ServerLostError, StoppedError
from rvm_client.server import Probe, ServerAddress

_POLL_S = 0.5


class RemoteServer:
    """A ServerSupply of the one server at an address.

    Args:
        url: HOST:PORT of Triton's gRPC endpoint.
        probe: lets the server there do a small request. Raises ServerError.
        reconnect_s: how long a server that was lost may be away.
    """

    def __init__(self, url: str, probe: Probe, reconnect_s: float) -> None:
        self.address = ServerAddress(url)
        self._probe = probe
        self._reconnect_s = reconnect_s

    def replacement(self, lost: ServerAddress, is_stopped: Callable[[], bool]) -> ServerAddress:
        """See ServerSupply. Raises the last error when the server does not come back."""
        deadline = time.monotonic() + self._reconnect_s
        while True:
            if is_stopped():
                raise StoppedError("the work was stopped while the Triton server was away")
            try:
                self._probe(lost.url, is_stopped)
                return lost
            except ServerLostError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_S)
