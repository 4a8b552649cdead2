"""Files that come in from browsers: streamed, resumed, and no more than may be."""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio.to_thread

from rvm_client.web.refusals import RefusedError, not_found
from rvm_client.web.settings import PageLimits

_TELL_S = 0.1


class Uploads:
    """Those that are under way. In the loop's thread only."""

    def __init__(self, limits: PageLimits) -> None:
        self._limits = limits
        self._open: dict[Path, tuple[str, asyncio.Task[int]]] = {}

    async def receive(
        self,
        session: str,
        target: Path,
        stream: AsyncIterator[bytes],
        offset: int,
        most_bytes: int,
        on_bytes: Callable[[int], None] = lambda _received: None,
    ) -> int:
        """Write a body to `target` from `offset` on; returns the bytes that are there now.

        An upload to the same file that is still open is ended: its connection is one that broke.

        Raises:
            RefusedError: it is too much, too slow, not what comes next, or there are too many.
        """
        await self._end(target)
        self._check_number(session)
        work = asyncio.ensure_future(self._write(target, stream, offset, most_bytes, on_bytes))
        self._open[target] = (session, work)
        try:
            return await work
        except asyncio.CancelledError:
            if work.cancelled() and self._open.get(target, (None, None))[1] is not work:
                raise RefusedError(409, "another upload of the same file has begun") from None
            work.cancel()
            raise
        finally:
            if self._open.get(target, (None, None))[1] is work:
                del self._open[target]

    async def stop(self, folder: Path) -> None:
        """End the uploads into a folder."""
        for target in [path for path in self._open if path.parent == folder]:
            await self._end(target)

    async def _end(self, target: Path) -> None:
        _, work = self._open.pop(target, (None, None))
        if work is not None:
            work.cancel()
            await asyncio.wait({work})

    def _check_number(self, session: str) -> None:
        own = sum(owner == session for owner, _ in self._open.values())
        if own >= self._limits.uploads_at_once:
            raise RefusedError(429, f"{own} uploads are under way; wait until one is done")
        if len(self._open) >= 4 * self._limits.uploads_at_once:
            raise RefusedError(503, "too many uploads are under way; try again in a moment")

    async def _write(
        self,
        target: Path,
        stream: AsyncIterator[bytes],
        offset: int,
        most_bytes: int,
        on_bytes: Callable[[int], None],
    ) -> int:
        try:
            descriptor = os.open(target, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError as exc:
            raise not_found() from exc
        received = os.fstat(descriptor).st_size
        try:
            if received != offset:
                raise RefusedError(
                    409,
                    f"{received} bytes are there, so the next part begins at {received} and not "
                    f"at {offset}",
                    received_bytes=received,
                )
            os.lseek(descriptor, offset, os.SEEK_SET)
            told_s = 0.0
            async for part in self._parts(stream):
                if received + len(part) > most_bytes:
                    raise RefusedError(
                        413, f"the file has more than the {most_bytes} bytes allowed"
                    )
                await anyio.to_thread.run_sync(_write_all, descriptor, part)
                received += len(part)
                if time.monotonic() - told_s >= _TELL_S:
                    told_s = time.monotonic()
                    on_bytes(received)
            return received
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise RefusedError(
                    507, "the disk is full; remove videos, or try again later"
                ) from exc
            raise
        finally:
            os.close(descriptor)
            on_bytes(received)

    async def _parts(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The stream, as long as it is no slower than it may be."""
        limits, iterator = self._limits, aiter(stream)
        window_began_s, window_bytes = time.monotonic(), 0
        while True:
            try:
                part = await asyncio.wait_for(anext(iterator), limits.idle_timeout_s)
            except StopAsyncIteration:
                return
            except TimeoutError:
                silence = f"nothing came for {limits.idle_timeout_s:g} s; go on from there"
                raise RefusedError(408, silence) from None
            yield part
            window_bytes += len(part)
            now_s = time.monotonic()
            if now_s - window_began_s >= limits.idle_timeout_s:
                if window_bytes < limits.slowest_bytes_per_second * limits.idle_timeout_s:
                    raise RefusedError(408, "the upload is too slow; go on from there")
                window_began_s, window_bytes = now_s, 0


def _write_all(descriptor: int, part: bytes) -> None:
    view = memoryview(part)
    while view:
        view = view[os.write(descriptor, view) :]
