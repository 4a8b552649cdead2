"""How long each stage was at work."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """Adds up the seconds spent in its context; for one thread."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started_s = 0.0

    def __enter__(self) -> "Stopwatch":
        self._started_s = time.monotonic()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.seconds += time.monotonic() - self._started_s


def timed(source: Iterable[T], watch: Stopwatch) -> Iterator[T]:
    """The items of `source`, with the time that it takes to make them on `watch`."""
    items = iter(source)
    while True:
        with watch:
            try:
                item = next(items)
            except StopIteration:
                return
        yield item
