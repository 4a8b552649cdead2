"""Run an iterator in its own thread, with a bounded queue between it and its reader."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from rvm_client.errors import StoppedError
from rvm_client.signals import signals_held

T = TypeVar("T")

# How often a blocked side looks whether the other one has gone.
_POLL_S = 0.05


class _End:
    """The last thing in the queue: why the iterator stopped."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Prefetch(Generic[T]):
    """Reads `source` ahead in a thread, at most `depth` items.

    An exception of the source is raised again in the reader. Leaving the context ends the
    thread, however far it came: the source is closed and the thread joined.

    Args:
        source: read in the thread.
        depth: items that wait at most.
        name: of the thread.
        is_stopped: whether the reader should get a StoppedError rather than wait any longer.
    """

    def __init__(
        self,
        source: Iterator[T],
        *,
        depth: int,
        name: str,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._source = source
        self._is_stopped = is_stopped
        self._queue: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Iterator[T]:
        try:
            with signals_held():
                self._thread.start()
        except BaseException:
            # Nobody else would: what the thread reads may be closed now.
            self._closed.set()
            with suppress(RuntimeError):
                self._thread.join()
            raise
        return self._items()

    def __exit__(self, *exc_info: object) -> None:
        self._closed.set()
        self._thread.join()

    def _items(self) -> Iterator[T]:
        while True:
            try:
                item = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                if self._is_stopped():
                    raise StoppedError("the work was cancelled") from None
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            if self._closed.is_set():
                return
            for item in self._source:
                if not self._put(item):
                    break
        except BaseException as exc:
            error = exc
        finally:
            close = getattr(self._source, "close", None)
            if close is not None:
                close()
        self._put(_End(error))

    def _put(self, item: T | _End) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False
