"""What a server shows to, and asks of, those who come from other machines: files, checked."""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvm_client.errors import ConfigError

# Those of bearer tokens: they pass through headers, command lines and shells as they are.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# gRPC ends a call with more than 8 KB of metadata.
_TOKEN_CHARACTERS = range(16, 1025)


@dataclass(frozen=True)
class Certificate:
    """A server's certificate, with its key."""

    path: Path
    """PEM file of the certificate, and of those that lead to its authority."""
    key_path: Path
    name: str
    """One that it is for: of a wildcard any that fits."""

    @classmethod
    def read(cls, path: Path, key_path: Path) -> "Certificate":
        """That in two PEM files, once a client that trusts it has been served with it in memory.

        Raises:
            ConfigError: they cannot be read or do not belong together, or no client would take it.
        """
        for file in (path, key_path):
            _read(file)
        try:
            names = _names(path, key_path)
        except ssl.SSLCertVerificationError as exc:
            raise ConfigError(
                f"the certificate in {path} cannot be used: {exc.verify_message}; get a new one"
            ) from exc
        except ssl.SSLError as exc:
            raise ConfigError(
                f"{path} and {key_path} are not a certificate and its key, which has no password, "
                f"in PEM: {(exc.reason or str(exc)).lower().replace('_', ' ')}"
            ) from exc
        if not names:
            raise ConfigError(
                f"the certificate in {path} has no name or address (subjectAltName), and clients "
                "want one; make one that has"
            )
        return cls(path.resolve(), key_path.resolve(), names[0].replace("*", "any"))


def read_token(path: Path) -> str:
    """The token in a file of one line.

    Raises:
        ConfigError: the file cannot be read, or what it has is no token; the message hides it.
    """
    token = _read(path).decode(errors="replace").removesuffix("\n").removesuffix("\r")
    if len(token) not in _TOKEN_CHARACTERS or not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"the file {path} must have one line of {_TOKEN_CHARACTERS[0]} to "
            f"{_TOKEN_CHARACTERS[-1]} letters, digits and ._~+/- with = at the end only; make one "
            "with: openssl rand -hex 32"
        )
    return token


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"the file {path} cannot be read ({exc.strerror})") from exc


def _names(path: Path, key_path: Path) -> list[str]:
    """Those that the certificate is for, by a handshake: the standard library reads no files."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(path, key_path, password="")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(path)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(back, there)
    server = serving.wrap_bio(there, back, server_side=True)
    waiting = [client, server]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
    certificate: dict[str, Any] = client.getpeercert() or {}
    names = certificate.get("subjectAltName", ())
    return [name for kind, name in names if kind in ("DNS", "IP Address")]
