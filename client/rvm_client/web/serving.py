"""The page on a socket, until a signal ends it."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from types import FrameType

import uvicorn

from rvm_client.errors import ConfigError
from rvm_client.web.api import application
from rvm_client.web.connections import impatient
from rvm_client.web.house import House
from rvm_client.web.settings import PageOptions

# Uploads and downloads that are under way have this long to end.
_END_S = 3
_ANY_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class PageServer:
    """Serves the page.

    Args:
        options: where, for whom, and how much.
    """

    def __init__(self, options: PageOptions) -> None:
        self._options = options
        self._server: _Server | None = None

    def run(self, on_open: Callable[[str], None]) -> None:
        """Serve until SIGINT or SIGTERM, or `stop`; `on_open` gets the page's URL at once.

        Raises:
            ConfigError: the address cannot be listened at, or the state folder not be used.
            KeyboardInterrupt: it was a signal.
        """
        options = self._options
        with closing(_bound(options)) as listening, House.opened(options) as house:
            config = uvicorn.Config(
                application(house),
                http=impatient(options.limits.header_timeout_s),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=options.limits.connections,
                timeout_graceful_shutdown=_END_S,
            )
            url = _url(options.host, listening.getsockname()[1])
            self._server = _Server(config, house, lambda: on_open(url))
            asyncio.run(self._server.serve([listening]))

    def stop(self) -> None:
        """End `run`, from any thread, once it has said that the page is open."""
        if self._server is not None:
            self._server.stop()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, house: House, on_open: Callable[[], None]) -> None:
        super().__init__(config)
        self._house, self._on_open = house, on_open
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if not self.should_exit:
            self._on_open()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._house.hub.close()

    def stop(self) -> None:
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._house.hub.close)


def _bound(options: PageOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family)
    except OSError as exc:
        raise ConfigError(
            f"the page cannot be served at {options.host}:{options.port} ({exc.strerror}); choose "
            "another port with --port, or stop the program that has it"
        ) from exc


def _url(host: str, port: int) -> str:
    host = _ANY_HOSTS.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
