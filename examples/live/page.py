"""A page on localhost: the newest picture as MJPEG, and the figures as JSON."""

import json
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import click

# A reader that takes nothing for so long is let go.
_READER_TIMEOUT_S = 10.0
_BOUNDARY = "frame"
_HTML = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Live matte</title>
<link rel="icon" href="data:,">
<style>
  body { margin: 2rem; background: #1b1d22; color: #e8e8e8; font: 15px/1.5 system-ui, sans-serif }
  img { display: block; width: min(100%, 80rem); background: #000 }
  td { padding: 0 1.5rem 0 0 } td + td { font-variant-numeric: tabular-nums }
</style>
<img src="/stream" alt="the person over the background">
<table id="figures"></table>
<script>
  const shown = (stats) => [
    ["server", stats.server],
    ["captured", stats.captured], ["matted", stats.matted], ["dropped", stats.dropped],
    ["frames/s", stats.fps],
    ["latency, p50", stats.latency_ms.p50 + " ms"], ["latency, p95", stats.latency_ms.p95 + " ms"],
  ];
  setInterval(async () => {
    const rows = shown(await (await fetch("/stats")).json()).map((cells) => {
      const row = document.createElement("tr");
      for (const cell of cells) row.insertCell().textContent = cell;
      return row;
    });
    document.getElementById("figures").replaceChildren(...rows);
  }, 500);
</script>
</html>
"""


class Shown:
    """The newest picture, for any number of readers. Each gets the newest when it asks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jpeg = b""
        self._number = 0

    def show(self, jpeg: bytes) -> None:
        """Never waits for a reader."""
        with self._changed:
            self._jpeg, self._number = jpeg, self._number + 1
            self._changed.notify_all()

    def after(self, number: int, timeout_s: float) -> tuple[int, bytes]:
        """A picture that came after that one, with its number; the same where none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number, timeout_s)
            return self._number, self._jpeg


class Page(ThreadingHTTPServer):
    """The page, served at 127.0.0.1 by threads that end with the program. A context manager.

    Raises:
        ClickException: the port is in use.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, shown: Shown, stats: Callable[[], Mapping[str, Any]]) -> None:
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as exc:
            raise click.ClickException(
                f"port {port} cannot be had for the page ({exc.strerror}); choose another "
                "with --port"
            ) from exc
        self.shown = shown
        self.stats = stats

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}/"

    def __enter__(self) -> "Page":
        threading.Thread(target=self.serve_forever, args=(0.1,), name="page", daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing to say where a reader has gone."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Page
    timeout = _READER_TIMEOUT_S

    def do_GET(self) -> None:
        # A name that leads here from elsewhere (DNS rebinding) would let other pages look.
        if self.headers.get("Host", "").partition(":")[0] not in ("127.0.0.1", "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._send("text/html; charset=utf-8", _HTML)
        elif self.path == "/stats":
            self._send("application/json", json.dumps(self.server.stats()).encode())
        elif self.path == "/stream":
            self._stream()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *_args: object) -> None:
        """Nothing: the page asks twice a second."""

    def _send(self, content_type: str, body: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        number = 0
        while True:
            before = number
            # Without a new picture the last one is sent again, which tells whether somebody reads.
            number, jpeg = self.server.shown.after(before, timeout_s=1.0)
            if number:
                self.wfile.write(_part(jpeg))


def _part(jpeg: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"
