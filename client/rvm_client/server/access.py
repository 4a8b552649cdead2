"""Who may use the endpoints of a server that do more than infer.

Where a server listens at more than this machine's own addresses, its shared memory, model
repository, trace and log endpoints want a key. Programs of the same user on this machine find it
in a file; the server's own clients do so by themselves.
"""

import contextlib
import ipaddress
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rvm_client.closing import Closing
from rvm_client.errors import ServerStartError

_CLOSED = "shared-memory,model-repository,trace,logging"
_KEY_NAME = "rvm-key"
_TOKEN_NAME = "rvm-token"
_GRPC_HEADER = f"triton-grpc-protocol-{_KEY_NAME}"


class AccessKey(Closing):
    """The key of one server, in a file that only its user can read, for as long as it runs.

    Args:
        grpc_port: of the server; clients know it.

    Raises:
        ServerStartError: the file cannot be written.
    """

    def __init__(self, grpc_port: int) -> None:
        self._key = secrets.token_hex(16)
        self._file = _key_file(grpc_port)
        try:
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            self._file.unlink(missing_ok=True)
            descriptor = os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(self._key)
        except OSError as exc:
            raise ServerStartError(
                f"the key of the Triton server cannot be written to {self._file} ({exc.strerror}); "
                "name another temporary folder in TMPDIR"
            ) from exc

    @property
    def arguments(self) -> list[str]:
        """What closes the endpoints of gRPC and HTTP."""
        return [
            f"--grpc-restricted-protocol={_CLOSED}:{_KEY_NAME}={self._key}",
            f"--http-restricted-api={_CLOSED}:{_KEY_NAME}={self._key}",
        ]

    def close(self) -> None:
        """Remove the file."""
        self._file.unlink(missing_ok=True)


def is_exposed(host: str) -> bool:
    """Whether other machines may reach a server that listens at `host`."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


@dataclass(frozen=True)
class LocalAccess:
    """How programs of a server's user, on its machine, come in."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """gRPC metadata for each call."""
    certificate: Path | None = None
    """PEM file of what the server's certificate is trusted by; None: it has none, no TLS."""
    certificate_name: str | None = None
    """A name that the certificate is for."""


def local_access(url: str) -> LocalAccess | None:
    """The way into the server at HOST:PORT of this machine; None where we have no key to it."""
    with contextlib.suppress(OSError, ValueError):
        file = _key_file(int(url.rpartition(":")[2]))
        # In a folder that anybody may write to, a file may be anybody's.
        if file.stat().st_uid == os.getuid():
            return LocalAccess({_GRPC_HEADER: file.read_text()})
    return None


def token_header(token: str) -> dict[str, str]:
    """The gRPC metadata that shows the token of a server's token file."""
    return {f"triton-grpc-protocol-{_TOKEN_NAME}": token}


def _key_file(grpc_port: int) -> Path:
    return Path(tempfile.gettempdir(), f"rvm-triton-{os.getuid()}", f"{grpc_port}.key")
