"""A real HTTP server on loopback that misbehaves as a test tells it to.

    with FaultyServer() as server:
        server.answers(status(503), file(b"..."))
        ... fetch server.url("/clip.mp4") ...
        assert server.requests[0].headers["Range"] == ...

Each request takes the next answer; the last one is used for all that follow. Until a test says
otherwise that is `usual`: what the subclass does in `answer`.
"""

import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from requests.structures import CaseInsensitiveDict

from rvm_client.closing import Closing

_STOP_S = 30.0
_POLL_S = 0.005


@dataclass
class Request:
    """What a client sent."""

    method: str
    path: str  # with the query
    headers: Mapping[str, str]  # names in any case
    body: bytes = b""  # until it has been read


@dataclass(frozen=True)
class Response:
    """What is answered; `headers` may lie."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Exchange:
    """One request, and the ways to answer it. The connection is closed behind it."""

    def __init__(self, handler: BaseHTTPRequestHandler, server: "FaultyServer") -> None:
        headers: Mapping[str, str] = CaseInsensitiveDict(handler.headers.items())
        self.handler = handler
        self.stopping = server.stopping
        self.request = Request(handler.command, handler.path, headers)
        self.unread_bytes = int(headers.get("Content-Length", 0))
        self._server = server
        handler.close_connection = True

    def receive(self) -> None:
        """Read the request's body to its end."""
        length, self.unread_bytes = self.unread_bytes, 0
        self.request.body += self.handler.rfile.read(length)
        if len(self.request.body) < length:
            raise ConnectionAbortedError("the client stopped in the middle")

    def work(self) -> Response:
        """The server's own answer; it works on one request at a time."""
        self.receive()
        with self._server.working:
            return self._server.answer(self.request)

    def head(self, code: int, headers: Mapping[str, str]) -> None:
        self.receive()
        self.handler.send_response(code)
        for name, value in {**headers, "Connection": "close"}.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()

    def write(self, data: bytes) -> None:
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def send(self, response: Response) -> None:
        length = {"Content-Length": str(len(response.body))}
        self.head(response.status, {**length, **response.headers})
        self.write(response.body)

    def reset(self) -> None:
        """Drop the connection without the goodbye of TCP."""
        # With no time to linger, closing sends RST instead of FIN.
        linger = struct.pack("ii", 1, 0)
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.handler.connection.close()


Answer: TypeAlias = Callable[[Exchange], None]


def status(code: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
    """An answer to a request that was read whole."""
    return lambda exchange: exchange.send(Response(code, body, headers or {}))


def redirect(location: str, code: int = 302) -> Answer:
    return status(code, {"Location": location})


def whole(data: bytes, headers: Mapping[str, str] | None = None) -> Answer:
    """200 and all of `data`, whatever Range asks for."""
    return status(200, headers, data)


def file(
    data: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    cut_after: int | None = None,
    part_bytes: int | None = None,
) -> Answer:
    """`data` as a web server serves a file: Range and If-Range are honoured.

    `cut_after` is how many bytes of the body are sent before the connection breaks;
    `part_bytes` is the most that a Range request gets.
    """
    extra = {"Accept-Ranges": "bytes", **(headers or {})}

    def answer(exchange: Exchange) -> None:
        wanted = exchange.request.headers.get("Range")
        condition = exchange.request.headers.get("If-Range")
        fresh = condition in (None, extra.get("ETag"), extra.get("Last-Modified"))
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and fresh else 0
        if first >= len(data):
            exchange.head(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
            return
        part = data[first:][: part_bytes if first else None]
        told = {"Content-Length": str(len(part)), **extra}
        if first:
            told = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(data)}", **told}
        exchange.head(206 if first else 200, told)
        exchange.write(part[:cut_after])

    return answer


def chunked(
    data: bytes, headers: Mapping[str, str] | None = None, *, unfinished: bool = False
) -> Answer:
    """A body of unknown length; `unfinished` leaves out the mark of its end."""

    def answer(exchange: Exchange) -> None:
        exchange.head(200, {"Transfer-Encoding": "chunked", **(headers or {})})
        for start in range(0, len(data), 4096):
            piece = data[start : start + 4096]
            exchange.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if not unfinished:
            exchange.write(b"0\r\n\r\n")

    return answer


def endless(
    piece: bytes, pause_s: float, headers: Mapping[str, str] | None = None, *, code: int = 200
) -> Answer:
    """`piece` again and again until the client leaves; no length is told."""

    def answer(exchange: Exchange) -> None:
        exchange.head(code, headers or {})
        while not exchange.stopping.wait(pause_s):
            exchange.write(piece)

    return answer


def endless_head(pause_s: float) -> Answer:
    """A header that never ends, a byte at a time."""

    def answer(exchange: Exchange) -> None:
        exchange.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not exchange.stopping.wait(pause_s):
            exchange.write(b"x")

    return answer


def silent(after: bytes = b"") -> Answer:
    """A promise of a megabyte, `after`, and then nothing."""

    def answer(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": "1000000"})
        exchange.write(after)
        exchange.stopping.wait(_STOP_S)

    return answer


def mute(*, deaf: bool = False) -> Answer:
    """No answer at all; when deaf, the request's body is not read either."""

    def answer(exchange: Exchange) -> None:
        if not deaf:
            exchange.receive()
        exchange.stopping.wait(_STOP_S)

    return answer


def raw(data: bytes) -> Answer:
    """These very bytes instead of an HTTP answer."""
    return lambda exchange: exchange.write(data)


def reset() -> Answer:
    """No answer: the connection is reset when half of the request's body has arrived."""

    def answer(exchange: Exchange) -> None:
        exchange.handler.rfile.read(exchange.unread_bytes // 2)
        exchange.reset()

    return answer


def usual() -> Answer:
    """What the server does when nothing is wrong."""
    return lambda exchange: exchange.send(exchange.work())


def lost() -> Answer:
    """The usual work, and then a reset instead of its answer."""

    def answer(exchange: Exchange) -> None:
        exchange.work()
        exchange.reset()

    return answer


class FaultyServer(Closing):
    """Serves on 127.0.0.1 until it is closed; with `tls`, over https.

    `requests` has all of them in the order of their arrival. `arrived` is set by each, `answered`
    when the work on one is done.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.arrived = threading.Event()
        self.answered = threading.Event()
        self.stopping = threading.Event()
        self.working = threading.Lock()
        self._answers: list[Answer] = [usual()]
        self._arriving = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), daemon=True
        )
        self._thread.start()

    def answer(self, request: Request) -> Response:  # noqa: ARG002
        """The usual; a subclass has something to give."""
        return Response(404)

    def answers(self, *answers: Answer) -> None:
        self._answers = list(answers)

    def handle(self, exchange: Exchange) -> None:
        with self._arriving:
            self.requests.append(exchange.request)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.arrived.set()
        answer(exchange)
        self.answered.set()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def base_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def url(self, path: str = "/clip.mp4", host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self.port}/{path.removeprefix('/')}"

    def close(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that leave early: many tests are about them."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _handler(server: FaultyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            server.handle(Exchange(self, server))

        do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Keep the tests' output clean."""

    return Handler
