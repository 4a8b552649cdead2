"""Where requests go, and where they go next when a server is lost."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ServerAddress:
    """Where one server answers. Another that later stands there has a higher `generation`."""

    url: str
    """HOST:PORT of Triton's gRPC endpoint."""
    generation: int = 0


class ServerSupply(Protocol):
    """Servers, one of which is there at a time. For several threads."""

    @property
    def address(self) -> ServerAddress:
        """That of the server that is there now."""

    def replacement(self, lost: ServerAddress, is_stopped: Callable[[], bool]) -> ServerAddress:
        """The address of a server that has done a small request, after `lost` was lost.

        Raises:
            ServerError: there is none.
            StoppedError: `is_stopped` said so meanwhile.
        """
