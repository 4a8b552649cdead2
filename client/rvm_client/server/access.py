"""Who may use which endpoints of a server that others reach, too.

Such a server's shared memory, model repository, trace and log endpoints want a key, and what infers
wants the token where there is one. Programs of the same user on this machine find both in a file;
the server's own clients do so by themselves. A server that loads models on request wants the key
for that also where only this machine reaches it: a model is a program.
"""

import contextlib
import fcntl
import ipaddress
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rvm_client.closing import Closing
from rvm_client.errors import ServerStartError
from rvm_client.machine import say_once
from rvm_client.server.options import WILDCARD_HOSTS, ServerOptions

_LOADING = "model-repository"
_CONTROL = f"shared-memory,{_LOADING},trace,logging"
_INFERENCE = "inference,metadata,model-config,statistics"
_KEY_NAME = "rvm-key"
_TOKEN_NAME = "rvm-token"
_GRPC_PREFIX = "triton-grpc-protocol-"


class AccessKey(Closing):
    """The key of one server, in a file that only its user can read, for as long as it runs.

    Args:
        options: of the server; their token and certificate stand in the file, too.
        grpc_port: of the server; clients know it.

    Raises:
        ServerStartError: the file cannot be written.
    """

    def __init__(self, options: ServerOptions, grpc_port: int) -> None:
        self._key = secrets.token_hex(16)
        self._token = options.token
        self._closed = _CONTROL if _has_strangers(options) else _LOADING
        self._file = _key_file(grpc_port)
        try:
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            self._file.unlink(missing_ok=True)
            descriptor = os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            self._held = os.fdopen(descriptor, "w")
            # Who is killed leaves the file, but not the lock.
            fcntl.flock(self._held, fcntl.LOCK_EX)
            json.dump(self._content(options), self._held)
            self._held.flush()
        except OSError as exc:
            raise ServerStartError(
                f"the key of the Triton server cannot be written to {self._file} ({exc.strerror}); "
                "name another temporary folder in TMPDIR"
            ) from exc

    @classmethod
    def needed(cls, options: ServerOptions, grpc_port: int) -> "AccessKey | None":
        """That of a server which asks who comes; None for one of this machine alone."""
        if _has_strangers(options) or options.is_controlled:
            return cls(options, grpc_port)
        return None

    @property
    def arguments(self) -> list[str]:
        """What closes the endpoints of gRPC and HTTP."""
        arguments = [
            f"--grpc-restricted-protocol={self._closed}:{_KEY_NAME}={self._key}",
            f"--http-restricted-api={self._closed}:{_KEY_NAME}={self._key}",
        ]
        if self._token is not None:
            # Health checks over HTTP know no token; it says no more than "ready".
            arguments += [
                f"--grpc-restricted-protocol={_INFERENCE},health:{_TOKEN_NAME}={self._token}",
                f"--http-restricted-api={_INFERENCE}:{_TOKEN_NAME}={self._token}",
            ]
        return arguments

    def close(self) -> None:
        """Remove the file. May be called again."""
        if not self._held.closed:
            self._file.unlink(missing_ok=True)
            self._held.close()

    def _content(self, options: ServerOptions) -> dict[str, object]:
        headers = {f"{_GRPC_PREFIX}{_KEY_NAME}": self._key}
        certificate = options.certificate
        return {
            "host": options.host,
            "headers": headers | (token_header(self._token) if self._token else {}),
            "certificate": str(certificate.path) if certificate else None,
            "certificate_name": certificate.name if certificate else None,
        }


def _has_strangers(options: ServerOptions) -> bool:
    """Whether others than the programs of this machine may reach the server."""
    exposed = is_exposed(options.host) or is_exposed(options.http_host)
    return exposed or options.token is not None or options.certificate is not None


def is_exposed(host: str) -> bool:
    """Whether other machines may reach a server that listens at `host`."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def warn_of_strangers(options: ServerOptions) -> None:
    """Say what others may do with a server, and read on the way to it."""
    if is_exposed(options.host) and options.token is None:
        say_once(
            f"everybody who reaches {options.host} may use the model; ask for a token with "
            "--token-file or RVM_TRITON_TOKEN_FILE"
        )
    if is_exposed(options.host) and options.token is not None and options.certificate is None:
        say_once(
            f"the token and the pictures travel to {options.host} in plain text; encrypt them with "
            "--tls-certificate and --tls-key, or RVM_TRITON_CERTIFICATE_FILE and "
            "RVM_TRITON_KEY_FILE"
        )
    if is_exposed(options.http_host):
        say_once(
            f"HTTP at {options.http_host} is not encrypted, and whoever reaches it may end the "
            "server with a request; let a gateway stand in front of it"
        )


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
    host, _, port = url.rpartition(":")
    with contextlib.suppress(OSError, ValueError), _key_file(int(port)).open() as file:
        # In a folder that anybody may write to, a file may be anybody's.
        if os.fstat(file.fileno()).st_uid != os.getuid() or not _is_held(file.fileno()):
            return None
        content = json.load(file)
        if _is_that_of(host.strip("[]"), content["host"]):
            certificate = content["certificate"]
            return LocalAccess(
                content["headers"],
                Path(certificate) if certificate else None,
                content["certificate_name"],
            )
    return None


def token_header(token: str) -> dict[str, str]:
    """The gRPC metadata that shows the token of a server's token file."""
    return {f"{_GRPC_PREFIX}{_TOKEN_NAME}": token}


def http_token_header(token: str | None) -> dict[str, str]:
    """The same in a request over HTTP; nothing where there is none."""
    return {_TOKEN_NAME: token} if token is not None else {}


def _key_file(grpc_port: int) -> Path:
    return Path(tempfile.gettempdir(), f"rvm-triton-{os.getuid()}", f"{grpc_port}.key")


def _is_held(descriptor: int) -> bool:
    """Whether the process that wrote the file is still there."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _is_that_of(host: str, listening: str) -> bool:
    """Whether a client that calls `host` reaches a server of this machine at `listening`.

    Another program may have the same port at another address, and is not to get our token.
    """
    if listening in WILDCARD_HOSTS or not is_exposed(listening):
        return not is_exposed(host)
    return host == listening
