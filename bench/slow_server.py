"""An HTTP server that takes its time: the far end of a download and of an upload."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rvm_client.closing import Closing

_PIECES_A_SECOND = 50


class SlowServer(Closing):
    """Gives the files of a folder, and takes what is PUT, at a limited rate; on loopback.

    Args:
        folder: of the files.
        bytes_a_second: of each connection; several at once do not slow one another down.
    """

    def __init__(self, folder: Path, bytes_a_second: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder, bytes_a_second))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, name: str) -> str:
        """Where a file is fetched, or put."""
        return f"http://127.0.0.1:{self._server.server_port}/{name}"

    def close(self) -> None:
        """Serve no longer."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(folder: Path, bytes_a_second: int) -> type[BaseHTTPRequestHandler]:
    def pieces(total_bytes: int) -> Iterator[int]:
        """Sizes that add up to the total, each when its time has come."""
        started_s, done_bytes = time.monotonic(), 0
        while done_bytes < total_bytes:
            size = min(max(1, bytes_a_second // _PIECES_A_SECOND), total_bytes - done_bytes)
            yield size
            done_bytes += size
            time.sleep(max(0.0, started_s + done_bytes / bytes_a_second - time.monotonic()))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content = (folder / self.path.lstrip("/")).read_bytes()
            self._head(len(content))
            sent = 0
            for size in pieces(len(content)):
                self.wfile.write(content[sent : sent + size])
                sent += size

        def do_PUT(self) -> None:
            for size in pieces(int(self.headers["Content-Length"])):
                self.rfile.read(size)
            self._head(0)

        def _head(self, length: int) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp4")
            self.send_header("Content-Length", str(length))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler
