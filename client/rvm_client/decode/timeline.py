"""Presentation times: those of the file, made strictly increasing where it fails to."""

import math
from fractions import Fraction

from rvm_client.decode.clock import JoinedClock

# A tick of the time base is at most this long: room for a nudge, and what WebM can store.
_LONGEST_TICK_SECONDS = Fraction(1, 1000)
# For time bases of large numbers. FFmpeg's have 32 bits each.
_USUAL_TICK_SECONDS = Fraction(1, 90_000)
_LARGEST_TERM = (1 << 31) - 1
# In ticks of any time base they fit in 64 bits.
_LATEST_SECONDS = 1_000_000_000


class Timeline:
    """Gives each frame its presentation time, in units of `time_base`.

    Times of the file come out unchanged, whatever their distances. Encoders and containers
    refuse a time that does not lie after the one before, so for the frames that would break
    this rule, and for them only:

    - no time: the time at which the frame before ends, or the decoding time where that is
      later (AVI has no other times, and leaves gaps where a frame was dropped).
    - equal to, or less than a second before, the frame before: one millisecond after it, so
      that both frames come out.
    - further back: the clock started again, and goes on where the frame before ends.

    A time of more than 30 years is none. A time base that cannot be divided becomes 1/90,000 s.

    Args:
        time_base: seconds of one tick of the file's timestamps.
        fps: frame rate that stands in for a frame's unknown duration.
    """

    def __init__(self, time_base: Fraction, fps: Fraction) -> None:
        self.time_base = _fine(time_base)
        self._ticks = time_base / self.time_base
        """Of ours in one of the file's."""
        self._latest = _LATEST_SECONDS / time_base
        self._nudge = math.ceil(_LONGEST_TICK_SECONDS / self.time_base)
        self._clock = JoinedClock(1 / self.time_base, 0)
        self._usual_step = max(1, round(1 / (fps * self.time_base)))
        self._last: int | None = None
        self.end = 0
        """Where the last placed frame ends."""

    def place(self, pts: int | None, dts: int | None, duration: int) -> int:
        """The presentation time of the next frame.

        Args:
            pts: the file's timestamp, in its own time base; None where there is none.
            dts: its decoding timestamp, likewise.
            duration: the file's, in its own time base; 0 where there is none.
        """
        placed = self._increasing(self._own_time(pts, dts))
        self._last = placed
        self.end = placed + (round(duration * self._ticks) or self._usual_step)
        return placed

    def _own_time(self, pts: int | None, dts: int | None) -> int:
        if pts is not None and abs(pts) <= self._latest:
            own = round(pts * self._ticks)
            after = own if self._last is None else self._last
            return self._clock.read(own, after=after, resume=self.end)
        if dts is not None and abs(dts) <= self._latest:
            return max(self.end, round(dts * self._ticks) + self._clock.shift)
        return self.end

    def _increasing(self, pts: int) -> int:
        if self._last is None or pts > self._last:
            return pts
        return self._last + self._nudge


def _fine(time_base: Fraction) -> Fraction:
    """The time base, divided by a power of ten to be short enough."""
    while time_base > _LONGEST_TICK_SECONDS:
        time_base /= 10
    terms = (time_base.numerator, time_base.denominator)
    return time_base if max(terms) <= _LARGEST_TERM else _USUAL_TICK_SECONDS
