"""The page on a socket, until a signal ends it."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from types import FrameType

import uvicorn

from rvm_client.errors import ConfigError
from rvm_client.web.api import application
from rvm_client.web.house import House
from rvm_client.web.settings import PageOptions

_END_S = 5


def serve_page(options: PageOptions, on_open: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `on_open` gets the page's URL once it answers.

    Raises:
        ConfigError: the address cannot be listened at, or the state folder not be used.
    """
    with closing(_bound(options)) as listening:
        house = House(options)
        config = uvicorn.Config(
            application(house),
            log_config=None,
            access_log=False,
            lifespan="on",
            server_header=False,
            timeout_graceful_shutdown=_END_S,
            limit_concurrency=options.limits.connections,
            proxy_headers=False,
            ws="none",
        )
        server = _Server(config, house, lambda: on_open(_url(options, listening)))
        asyncio.run(server.serve([listening]))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, house: House, on_open: Callable[[], None]) -> None:
        super().__init__(config)
        self._house, self._on_open = house, on_open

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._on_open()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._house.hub.close()
        super().handle_exit(sig, frame)


def _bound(options: PageOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family)
    except OSError as exc:
        raise ConfigError(
            f"the page cannot be served at {options.host}:{options.port} ({exc.strerror}); choose "
            "another port with --port, or stop the program that has it"
        ) from exc


def _url(options: PageOptions, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
