"""A network that transfers share."""

import heapq
import itertools
from collections.abc import Generator
from typing import Any

import simpy


class Link:
    """Gives all transfers equal parts of its rate, and none more than a machine can take.

    As all have the same rate at any time, a transfer's end is known in bytes that each transfer has
    got since the beginning: they end in the order of those, and arrivals change no order.

    Args:
        env: the simulation.
        total: bytes a second of all transfers.
        each: bytes a second of one at most.
    """

    def __init__(self, env: simpy.Environment, total: float, each: float) -> None:
        self._env, self._total, self._each = env, total, each
        self._ends: list[tuple[float, int, simpy.Event]] = []
        self._order = itertools.count()
        self._each_got = self._at_s = 0.0
        self._timer = 0
        self.bytes = 0.0
        """Of all that went through it."""

    def transfer(self, size: float) -> Generator[simpy.Event, Any, None]:
        """Take so many bytes; one that is interrupted lets others have its part."""
        if size <= 0:
            return
        self._advance()
        done = self._env.event()
        heapq.heappush(self._ends, (self._each_got + size, next(self._order), done))
        self._wake_up()
        try:
            yield done
            self.bytes += size
        except simpy.Interrupt:
            self._advance()
            self._ends = [end for end in self._ends if end[2] is not done]
            heapq.heapify(self._ends)
            self._wake_up()
            raise

    def _rate(self) -> float:
        return min(self._each, self._total / len(self._ends))

    def _advance(self) -> None:
        """Bring what each transfer has got up to now."""
        if self._ends:
            self._each_got += (self._env.now - self._at_s) * self._rate()
        self._at_s = self._env.now

    def _wake_up(self) -> None:
        """Come back when the next transfer ends, unless others begin or end before."""
        self._timer += 1
        if self._ends:
            wait_s = max(self._ends[0][0] - self._each_got, 0.0) / self._rate()
            self._env.process(self._ended(self._timer, wait_s))

    def _ended(self, timer: int, wait_s: float) -> Generator[simpy.Event, Any, None]:
        yield self._env.timeout(wait_s)
        if timer == self._timer:
            # What is left of the first is rounding.
            self._each_got, self._at_s = self._ends[0][0], self._env.now
            heapq.heappop(self._ends)[2].succeed()
            self._wake_up()
