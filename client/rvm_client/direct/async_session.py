"""Frames to mattes, for a program of asyncio."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

from rvm_client.direct.base import BaseSession
from rvm_client.direct.feed import Feed
from rvm_client.direct.matte import Matte, kept
from rvm_client.direct.scene import QUEUE_DEPTH
from rvm_client.errors import ServerBusyError, ServerLostError
from rvm_client.frames import MatteChunk, Role, SourceChunk
from rvm_client.matte import AsyncConnection, Connection


class AsyncMattingSession(BaseSession):
    """MattingSession for asyncio: the same mattes, errors and arguments.

    An asynchronous context manager, which connects when it is entered:

        async with AsyncMattingSession("host:8001") as session:
            async for foreground, alpha in session.matte(frames):
                ...

    Requests go through gRPC's own client for asyncio. Connecting, and waiting for a server that
    was lost, are done in threads, so that the loop never waits.
    """

    _connects_at_once = False
    _connection: AsyncConnection | None = None
    _connected_as: Connection | None = None
    _under_way: contextlib.AsyncExitStack | None = None

    @functools.cached_property
    def _ending(self) -> asyncio.Lock:
        return asyncio.Lock()

    async def __aenter__(self) -> "AsyncMattingSession":
        self._scene = await asyncio.to_thread(self._open_scene)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the session and its connection. May be called again."""
        await self._end_under_way()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
        if self._scene is not None:
            await asyncio.to_thread(self._scene.end)

    async def matte(self, frames: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Matte]:
        """See MattingSession.matte.

        Args:
            frames: as there, or an asynchronous iterable, which is read in the loop.
        """
        await self._end_under_way()
        self._under_way = stack = contextlib.AsyncExitStack()
        is_whole = asyncio.Event()
        stack.push_async_callback(self._close_unless, is_whole)
        try:
            results: asyncio.Queue[MatteChunk | None] = asyncio.Queue(QUEUE_DEPTH)
            feed = Feed(frames, self._opened.staged, depth=QUEUE_DEPTH)
            chunks = await stack.enter_async_context(feed)
            work = asyncio.create_task(self._matte_all(chunks, results))
            stack.push_async_callback(_ended, work)
            while (chunk := await results.get()) is not None:
                for matte in kept(chunk):
                    yield matte
            await work
            is_whole.set()
        finally:
            await self._end(stack)

    async def matte_frame(self, frame: Any) -> Matte:
        """See MattingSession.matte_frame."""
        await self._end_under_way()
        (matte,) = kept(await self._matte(self._opened.one(frame)))
        return matte

    async def _matte_all(
        self, chunks: AsyncIterator[SourceChunk], results: "asyncio.Queue[MatteChunk | None]"
    ) -> None:
        try:
            async for chunk in chunks:
                matte = await self._matte(chunk)
                if chunk.role is not Role.WARM_UP:
                    await results.put(matte)
        except Exception:
            await results.put(None)
            raise
        await results.put(None)

    async def _matte(self, chunk: SourceChunk) -> MatteChunk:
        session = self._opened.chunks
        session.begin(chunk)
        while True:
            if session.has_given_up:
                await asyncio.to_thread(session.let_go)
            connection = await self._connected(session.connection)
            try:
                answer = await connection.infer(session.request(chunk))
            except ServerLostError as lost:
                await asyncio.to_thread(session.recover, lost)
            except ServerBusyError as busy:
                await asyncio.sleep(await asyncio.to_thread(session.refused, busy))
            else:
                return session.taken(answer, chunk)

    async def _connected(self, connection: Connection) -> AsyncConnection:
        """The connection for requests, to where the other one leads."""
        if self._connection is None or self._connected_as is not connection:
            if self._connection is not None:
                await self._connection.close()
            self._connection, self._connected_as = AsyncConnection(connection), connection
        return self._connection

    async def _close_unless(self, is_whole: asyncio.Event) -> None:
        """End the video, but where all frames came back: then it may go on."""
        if not is_whole.is_set():
            await asyncio.to_thread(self._opened.close)

    async def _end_under_way(self) -> None:
        """End a loop over mattes that was left before its end."""
        if self._under_way is not None:
            await self._end(self._under_way)
            self._under_way = None

    async def _end(self, loop_over_mattes: contextlib.AsyncExitStack) -> None:
        # Python ends an abandoned generator at some time, which may be at the same time.
        async with self._ending:
            await loop_over_mattes.aclose()


async def _ended(work: "asyncio.Task[None]") -> None:
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await work
