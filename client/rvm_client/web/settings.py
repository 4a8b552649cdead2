"""How the page is served, and what its users may take."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from rvm_client.config import Settings
from rvm_client.errors import ConfigError
from rvm_client.web.hosts import is_loopback_host

GIB = 1 << 30
_SHORTEST_PASSWORD = 8


@dataclass(frozen=True)
class PageLimits:
    """What all users together, or one of them, may take."""

    upload_bytes: int = 500_000_000
    uploads_at_once: int = 4
    """Of one session; of all together four times as many."""
    videos_of_a_session: int = 50
    sessions: int = 1000
    free_bytes: int = GIB
    """What uploads leave free on the disk."""
    idle_timeout_s: float = 30.0
    """Without a single byte of an upload."""
    slowest_bytes_per_second: float = 2000.0
    """On average over `idle_timeout_s`."""
    jobs_waiting: int = 20
    """Of one session."""
    backgrounds_of_a_video: int = 10
    listeners_of_a_session: int = 8
    connections: int = 256
    header_timeout_s: float = 20.0
    """For the first bytes of a connection, and for the head of each request."""


@dataclass(frozen=True)
class PageOptions:
    """Where and for whom the page is served.

    Raises:
        ConfigError: others could reach it, and there is no password.
    """

    settings: Settings
    state: Path
    """The folder of all files and of the database."""
    host: str = "127.0.0.1"
    port: int = 7860
    """0: any free one."""
    password: SecretStr | None = None
    keep_seconds: float = 3600.0
    """How long files are kept after somebody last did something with their video."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which browsers may call this server, beside those of this machine."""
    limits: PageLimits = field(default_factory=PageLimits)

    @classmethod
    def configured(cls, settings: Settings) -> "PageOptions":
        """As the environment says."""
        return cls(
            settings,
            settings.web_state,
            settings.web_host,
            settings.web_port,
            settings.web_password,
            settings.web_keep_seconds,
            tuple(settings.web_allowed_hosts.split()),
            PageLimits(upload_bytes=settings.max_download_bytes),
        )

    def __post_init__(self) -> None:
        if self.password is not None and len(self.password.get_secret_value()) < _SHORTEST_PASSWORD:
            raise ConfigError(
                f"the page's password has fewer than {_SHORTEST_PASSWORD} characters; choose a "
                "longer one"
            )
        if self.password is None and not is_loopback_host(self.host):
            raise ConfigError(
                f"the page would be open to others at {self.host}, and there is no password; give "
                "one with --password-file or RVM_WEB_PASSWORD, or leave the host at 127.0.0.1"
            )
