"""The page from which Prometheus reads the worker's metrics."""

import http
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rvm_client.closing import Closing
from rvm_client.errors import ConfigError

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Who connects and says nothing holds a thread for so long.
_IDLE_S = 10.0


class MetricsPage(Closing):
    """`http://HOST:PORT/metrics`, in threads of its own until closed.

    Args:
        page: makes the text; called in several threads.
        host: the address to listen at.
        port: 0: any free one.

    Raises:
        ConfigError: it cannot listen there.
    """

    def __init__(self, page: Callable[[], bytes], host: str, port: int) -> None:
        try:
            self._server = _Server(page, host, port)
        except OSError as exc:
            raise ConfigError(
                f"the metrics cannot be served at {host}:{port} ({exc.strerror}); set "
                "RVM_METRICS_HOST to an address of this machine and RVM_METRICS_PORT to a port "
                "that no other program has"
            ) from exc
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}/metrics"
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Serve it no longer."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    def __init__(self, page: Callable[[], bytes], host: str, port: int) -> None:
        self.page = page
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own also asks the name service what the host is called.
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Who asked has gone.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _IDLE_S

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(http.HTTPStatus.NOT_FOUND, "there is only /metrics")
            return
        body = self.server.page()
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", _CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass
