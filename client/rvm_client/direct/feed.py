"""An iterator that is read in a thread, for a reader of asyncio."""

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    """The last thing in the queue: why the iterator stopped."""

    error: BaseException | None = None


class Feed(Generic[T]):
    """Reads what `make` makes of `source` ahead in a thread, at most `depth` items.

    Errors come out in the reader. Leaving the context ends the thread, however far it came.

    Args:
        source: read in the thread where it is an ordinary iterable, in the event loop otherwise.
        make: an iterator over an ordinary one.
        depth: items that wait at most.
    """

    def __init__(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        make: Callable[[Iterable[Any]], Iterator[T]],
        *,
        depth: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[T | _End] = asyncio.Queue(depth)
        self._is_closed = False
        self._waiting: concurrent.futures.Future[Any] | None = None
        frames = self._bridged(source) if isinstance(source, AsyncIterable) else source
        self._items = make(frames)
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)

    async def __aenter__(self) -> AsyncIterator[T]:
        self._thread.start()
        return self._read()

    async def __aexit__(self, *exc_info: object) -> None:
        self._is_closed = True
        if self._waiting is not None:
            self._waiting.cancel()
        await asyncio.to_thread(self._thread.join)

    async def _read(self) -> AsyncIterator[T]:
        while not isinstance(item := await self._queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def _run(self) -> None:
        end = _End()
        try:
            for item in self._items:
                self._wait(self._queue.put(item))
        except concurrent.futures.CancelledError:
            return
        except BaseException as exc:
            end = _End(exc)
        finally:
            with contextlib.suppress(Exception):
                self._items.close()  # type: ignore[attr-defined]
        with contextlib.suppress(concurrent.futures.CancelledError):
            self._wait(self._queue.put(end))

    def _bridged(self, source: AsyncIterable[Any]) -> Iterator[Any]:
        """The items of an asynchronous iterable, for the thread."""
        items = aiter(source)
        while (item := self._wait(_next(items))) is not _NO_MORE:
            yield item

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Let the loop do something, and wait for it in the thread."""
        self._waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        if self._is_closed:
            self._waiting.cancel()
        return self._waiting.result()


_NO_MORE = object()


async def _next(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _NO_MORE)
