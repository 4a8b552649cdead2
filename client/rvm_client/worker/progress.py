"""Progress messages for a job's status: in order, not too many, none after the result."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType

Send = Callable[[str], Awaitable[None]]

# At most so many messages in any second.
MESSAGES_PER_WINDOW = 2
WINDOW_S = 1.0
# A message that takes longer to send is given up: the result must not wait for it.
SEND_TIMEOUT_S = 5.0


class ProgressReporter:
    """Sends the newest message as often as allowed; an asynchronous context manager.

    One message is on its way at a time, so none overtakes another. Leaving the context sends
    the last message, if it was not yet, and waits for it: afterwards nothing more is sent.

    Args:
        send: sends one message; what it raises is ignored, as progress is not worth a job.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._newest: str | None = None
        self._changed = asyncio.Event()
        self._closing = False
        self._sent_at_s: deque[float] = deque(maxlen=MESSAGES_PER_WINDOW)
        self._last_sent: str | None = None

    async def __aenter__(self) -> "ProgressReporter":
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None:
            self._newest = None
        self._closing = True
        self._changed.set()
        await self._task

    def update(self, message: str) -> None:
        """Offer a message; from any thread, returns at once."""
        self._loop.call_soon_threadsafe(self._offer, message)

    def _offer(self, message: str) -> None:
        self._newest = message
        self._changed.set()

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            await self._wait_for_room()
            self._changed.clear()
            message, self._newest = self._newest, None
            if message is not None and message != self._last_sent:
                await self._send_one(message)
            if self._closing and self._newest is None:
                return

    async def _wait_for_room(self) -> None:
        if self._newest is None or len(self._sent_at_s) < MESSAGES_PER_WINDOW:
            return
        await asyncio.sleep(self._sent_at_s[0] + WINDOW_S - self._loop.time())

    async def _send_one(self, message: str) -> None:
        self._last_sent = message
        with suppress(Exception):
            await asyncio.wait_for(self._send(message), SEND_TIMEOUT_S)
        self._sent_at_s.append(self._loop.time())
