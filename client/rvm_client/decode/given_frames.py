"""No frame twice, where a file is decoded again by other means."""

from collections.abc import Iterator
from dataclasses import dataclass

import av


class GivenFrames:
    """The frames that came out so far, of decodings that all begin at the same place.

    Where their times only grow, a later decoding leaves out those up to the last time: decoders
    differ in which damaged frames they show, and may lose good ones. Otherwise it leaves out as
    many as there were.
    """

    def __init__(self) -> None:
        self._given = _Run()

    @property
    def count(self) -> int:
        """How many there were, as the decoding counts them that gave the last one."""
        return self._given.count

    def only_new(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The frames of the next decoding, but those that came out in one before."""
        run = _Run()
        for frame in frames:
            # Before it is given away: whoever gets it may overwrite its time.
            run.add(frame.pts)
            if run is self._given or run.goes_beyond(self._given):
                self._given = run
                yield frame


@dataclass
class _Run:
    """How far one decoding came."""

    count: int = 0
    last_pts: int | None = None
    grows: bool = True
    """Each time was there, and lay after the one before."""

    def add(self, pts: int | None) -> None:
        self.grows = self.grows and pts is not None and self._ends_before(pts)
        self.last_pts = pts
        self.count += 1

    def goes_beyond(self, other: "_Run") -> bool:
        if not other.grows or not other.count:
            return self.count > other.count
        # A clock that steps back or stops, does so beyond times that only grew.
        return not self.grows or self.last_pts is None or other._ends_before(self.last_pts)

    def _ends_before(self, pts: int) -> bool:
        return self.last_pts is None or pts > self.last_pts
