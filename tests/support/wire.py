"""A wire to a page that can be cut."""

import socket
import threading
from contextlib import suppress
from functools import partial
from typing import Self
from urllib.parse import urlsplit


class Wire:
    """A way to a page that breaks in the middle of an upload; a context manager.

    It carries bytes both ways. Once a connection has carried `cut_after` bytes to the server, all
    connections break and no new one comes through, until `mend`.
    """

    def __init__(self, url: str, cut_after: int) -> None:
        parts = urlsplit(url)
        self._target = (str(parts.hostname), int(parts.port or 0))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._cut_after: int | None = cut_after
        self._is_whole = True
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._break()
        # A thread that waits in accept() is woken by that alone.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def mend(self) -> None:
        """Let connections through again, for good."""
        with self._lock:
            self._cut_after, self._is_whole = None, True

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                if not self._is_whole:
                    near.close()
                    continue
                far = socket.create_connection(self._target)
                self._ends += [near, far]
            for source, sink, is_sent in ((near, far, True), (far, near, False)):
                carry = partial(self._carry, source, sink, is_sent)
                threading.Thread(target=carry, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, is_sent: bool) -> None:
        carried = 0
        with suppress(OSError):
            while part := source.recv(16_384):
                sink.sendall(part)
                carried += len(part)
                if is_sent and self._cut_after is not None and carried > self._cut_after:
                    self._break()
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _break(self) -> None:
        with self._lock:
            self._is_whole = False
            for end in self._ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
            self._ends.clear()
