"""How a Triton server is started, and the checks that need no server."""

import contextlib
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from rvm_client.config import BucketLocation, Settings, process_environment
from rvm_client.errors import ConfigError, ServerStartError
from rvm_client.server.bucket_copy import BucketSource
from rvm_client.server.doors import Certificate, read_token
from rvm_client.wire import ACTIVE_VERSION, MODEL_NAME

_ACTIVE = re.compile(rf'key:\s*"{ACTIVE_VERSION}"\s*value\s*\{{\s*string_value:\s*"(\d+)"')
WILDCARD_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class ServerOptions:
    """How a server is started. A port of 0 means any free one."""

    model_repository: Path
    source: BucketSource | None = None  # the bucket whose copy `model_repository` is, if any
    grpc_port: int = 0
    http_port: int = 0
    metrics_port: int = 0
    host: str = "127.0.0.1"  # the address to listen at for gRPC
    http_host: str = "127.0.0.1"
    metrics_host: str = "127.0.0.1"
    token: str | None = field(default=None, repr=False)  # who infers has to show it; None: anybody
    certificate: Certificate | None = None  # what gRPC is encrypted with; None: it is not
    ready_timeout_s: float = 120.0
    exit_timeout_s: float = 30.0  # for requests in flight at a stop; 0: kill at once
    tritonserver: Path | None = None  # an installed binary; None: found, else the embedded one
    cache_dir: Path | None = None  # for the embedded server's backends; None: the user's cache
    model_name: str = MODEL_NAME
    threads: int | None = None  # cores for one request; None: all that are available
    is_controlled: bool = False  # versions can be loaded and unloaded while it runs
    log_verbose: int = 0  # Triton's --log-verbose
    log_stream: TextIO | None = None  # gets a copy of the log while the server runs
    # What the server may inherit; only what is harmless is passed on.
    environment: Mapping[str, str] = field(default_factory=process_environment, repr=False)

    @classmethod
    def configured(cls, settings: Settings) -> "ServerOptions":
        """As the environment says."""
        repository, source = settings.model_repository, None
        if isinstance(repository, BucketLocation):
            source = BucketSource.configured(repository, settings)
            repository = source.model_repository
        return cls(
            model_repository=repository,
            source=source,
            ready_timeout_s=settings.server_ready_timeout_s,
            tritonserver=settings.tritonserver,
            cache_dir=settings.cache_dir,
            is_controlled=settings.model_control == "explicit",
            log_verbose=settings.triton_log_verbose,
        )

    @classmethod
    def serving(cls, settings: Settings) -> "ServerOptions":
        """As the environment says for a server that others may use, too.

        Raises:
            ConfigError: the files of token or certificate are not what they should be.
        """
        certificate = None
        if settings.triton_certificate_file and settings.triton_key_file:
            certificate = Certificate.read(
                settings.triton_certificate_file, settings.triton_key_file
            )
        elif settings.triton_certificate_file or settings.triton_key_file:
            raise ConfigError(
                "TLS needs a certificate and its key: --tls-certificate with --tls-key, or "
                "RVM_TRITON_CERTIFICATE_FILE with RVM_TRITON_KEY_FILE"
            )
        return replace(
            cls.configured(settings),
            host=settings.triton_host,
            http_host=settings.triton_http_host,
            token=read_token(settings.triton_token_file) if settings.triton_token_file else None,
            certificate=certificate,
        )


@dataclass(frozen=True)
class Ports:
    """The ports of one server, all different."""

    grpc: int
    http: int
    metrics: int


def check_model_repository(repository: Path, model_name: str) -> None:
    """Make sure that there is a model to serve.

    Raises:
        ConfigError: config.pbtxt or every version's model.pt is missing.
    """
    model = repository / model_name
    if not (model / "config.pbtxt").is_file():
        raise ConfigError(
            f"the folder {model} has no config.pbtxt, so {repository} is not a model repository; "
            "name the right one, or make a model with: rvm-export export"
        )
    if active_version(repository, model_name) is None:
        raise ConfigError(
            f"the folder {model} has no version with a model.pt; make one with: rvm-export export"
        )


def active_version(repository: Path, model_name: str) -> int | None:
    """The version that a new video begins with: the one that the config names, or the highest.

    None when there is no version.
    """
    folders = (path.parent.name for path in (repository / model_name).glob("*/model.pt"))
    versions = [int(name) for name in folders if name.isdigit()]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        named = _ACTIVE.search((repository / model_name / "config.pbtxt").read_text("utf-8"))
        if named and int(named[1]) in versions:
            return int(named[1])
    return max(versions, default=None)


def check_ports(options: ServerOptions) -> None:
    """Make sure that the ports asked for are free, before a model is loaded for nothing.

    Raises:
        ServerStartError: one is in use.
    """
    for host, port in _listeners(options):
        if port:
            bind_socket(host, port).close()


def choose_ports(options: ServerOptions) -> Ports:
    """The ports asked for, with free ones in place of 0."""
    with contextlib.ExitStack() as sockets:
        # All three are held at once, so that they differ.
        return Ports(*(
            port or sockets.enter_context(bind_socket(host, 0)).getsockname()[1]
            for host, port in _listeners(options)
        ))  # fmt: skip


def _listeners(options: ServerOptions) -> tuple[tuple[str, int], ...]:
    """Host and port of gRPC, HTTP and metrics, as they were asked for."""
    return (
        (options.host, options.grpc_port),
        (options.http_host, options.http_port),
        (options.metrics_host, options.metrics_port),
    )


def bind_socket(host: str, port: int) -> socket.socket:
    """A socket bound to an address of this machine.

    Raises:
        ServerStartError: the address is in use or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of a server that has just ended do not count.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as exc:
        bound.close()
        raise ServerStartError(
            f"the Triton server cannot listen at {host}:{port} ({exc.strerror}); "
            "choose another port or stop the program that has it"
        ) from exc
    return bound


def client_host(host: str) -> str:
    """The host by which a client on this machine reaches a server that listens at `host`."""
    return WILDCARD_HOSTS.get(host, host)


def url_host(host: str) -> str:
    """`client_host` as it is written before `:port`."""
    host = client_host(host)
    return f"[{host}]" if ":" in host else host
