"""Presentation times: those of the file, made strictly increasing where it fails to."""

import math
from fractions import Fraction

from rvm_client.decode.clock import JoinedClock

# A tick of the time base is at most this long: room for a nudge, and what WebM can store.
_LONGEST_TICK_SECONDS = Fraction(1, 1000)


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

    Args:
        time_base: seconds of one tick of the file's timestamps.
        fps: frame rate that stands in for a frame's unknown duration.
    """

    def __init__(self, time_base: Fraction, fps: Fraction) -> None:
        self._refinement = _refinement(time_base)
        self.time_base = time_base / self._refinement
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
        self.end = placed + (duration * self._refinement or self._usual_step)
        return placed

    def _own_time(self, pts: int | None, dts: int | None) -> int:
        if pts is not None:
            own = pts * self._refinement
            after = own if self._last is None else self._last
            return self._clock.read(own, after=after, resume=self.end)
        if dts is not None:
            return max(self.end, dts * self._refinement + self._clock.shift)
        return self.end

    def _increasing(self, pts: int) -> int:
        if self._last is None or pts > self._last:
            return pts
        return self._last + self._nudge


def _refinement(time_base: Fraction) -> int:
    """The power of ten by which ticks are divided to be short enough."""
    factor = 1
    while time_base / factor > _LONGEST_TICK_SECONDS:
        factor *= 10
    return factor
