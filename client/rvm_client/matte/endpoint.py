"""How a client comes into a Triton server: TLS, a token, the key of this machine's servers."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rvm_client.config import Settings
from rvm_client.errors import ConfigError
from rvm_client.server import LocalAccess, local_access, token_header

# tritonclient raises gRPC's limit of 4 MB only where it is given no arguments for the channel.
_ANY_SIZE = -1


@dataclass(frozen=True)
class Credentials:
    """What a client shows to a server, and what it asks of it."""

    token: str | None = field(default=None, repr=False)
    """That of the server's token file; None: it wants none."""
    tls: bool | Path = False
    """Whether the connection is encrypted. True trusts the authorities that gRPC carries, a PEM
    file those in it."""

    def __post_init__(self) -> None:
        """Raises ConfigError: no header can carry the token, or the file has no certificate."""
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise ConfigError(
                "the token has a character that no header carries, such as the end of a line"
            )
        if isinstance(self.tls, Path):
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(self.tls)
            except OSError as exc:
                raise ConfigError(
                    f"the file of authorities {self.tls} cannot be read as PEM ({exc.strerror})"
                ) from exc

    @classmethod
    def configured(cls, settings: Settings) -> "Credentials":
        """As the environment says."""
        token = settings.triton_token
        return cls(
            token.get_secret_value() if token else None,
            settings.triton_ca_file or settings.triton_tls,
        )


@dataclass(frozen=True)
class Endpoint:
    """What tritonclient is given to reach one server."""

    headers: Mapping[str, str] | None
    client_arguments: Mapping[str, Any]
    """For InferenceServerClient, sync or aio."""

    @classmethod
    def find(cls, url: str, credentials: Credentials) -> "Endpoint":
        """By what is known of the server at HOST:PORT.

        Servers of this machine's user let its programs in by a file; see `server.access`.
        """
        local = local_access(url) or LocalAccess()
        headers = dict(local.headers)
        if credentials.token is not None:
            headers |= token_header(credentials.token)
        if not (credentials.tls or local.certificate):
            return cls(headers or None, {})
        trusted = credentials.tls if isinstance(credentials.tls, Path) else local.certificate
        arguments: dict[str, Any] = {"ssl": True, "root_certificates": trusted}
        if local.certificate_name is not None:
            # Nobody gives out certificates for 127.0.0.1.
            arguments["channel_args"] = [
                ("grpc.ssl_target_name_override", local.certificate_name),
                ("grpc.max_send_message_length", _ANY_SIZE),
                ("grpc.max_receive_message_length", _ANY_SIZE),
            ]
        return cls(headers or None, arguments)


def is_on_this_machine(url: str) -> bool:
    """Whether HOST:PORT is spelled as an address of this machine, or a server of ours is there."""
    host = url.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.") or local_access(url) is not None
