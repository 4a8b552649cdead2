"""What changed, told to the pages that listen: server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

_PING_S = 15.0


class Listener:
    """One open page. What is newer replaces what it has not taken yet, so memory is bounded."""

    def __init__(self, session: str) -> None:
        self.session = session
        self._pending: dict[tuple[str, str], Any] = {}
        self._news = asyncio.Event()
        self._closed = False

    def put(self, kind: str, key: str, payload: Any) -> None:
        """Tell it something; in the loop's thread."""
        self._pending[kind, key] = payload
        self._news.set()

    def close(self) -> None:
        """End its stream."""
        self._closed = True
        self._news.set()

    async def stream(self) -> AsyncIterator[str]:
        """The events as they go over the wire."""
        while not self._closed:
            try:
                await asyncio.wait_for(self._news.wait(), _PING_S)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            self._news.clear()
            pending, self._pending = self._pending, {}
            for (kind, _key), payload in pending.items():
                yield f"event: {kind}\ndata: {json.dumps(payload)}\n\n"


class Hub:
    """All listeners. `publish` may be called in any thread."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def open(self) -> None:
        """Begin; in the loop's thread."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """End all streams; in the loop's thread."""
        self._closed = True
        for listener in self._listeners:
            listener.close()

    def listen(self, session: str) -> Listener:
        """A new listener; `leave` when it is done."""
        listener = Listener(session)
        self._listeners.add(listener)
        if self._closed:
            listener.close()
        return listener

    def count(self, session: str) -> int:
        """How many listeners a session has."""
        return sum(listener.session == session for listener in self._listeners)

    def leave(self, listener: Listener) -> None:
        """Forget a listener."""
        self._listeners.discard(listener)

    def publish(self, session: str | None, kind: str, key: str, payload: Any) -> None:
        """Tell the pages of a session; None: all pages."""
        if self._loop is None or self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._put, session, kind, key, payload)

    def _put(self, session: str | None, kind: str, key: str, payload: Any) -> None:
        for listener in self._listeners:
            if session is None or listener.session == session:
                listener.put(kind, key, payload)
