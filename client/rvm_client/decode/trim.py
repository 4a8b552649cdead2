"""The part of a video that was asked for, and the presentation times within it."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

from rvm_client.decode.decoder import SourceDecoder
from rvm_client.decode.limits import check_duration, check_frames
from rvm_client.decode.timeline import Timeline
from rvm_client.errors import InputError
from rvm_client.frames import Role
from rvm_client.options import MatteOptions

# Frames before the start of a trimmed video that warm the model's state up.
LEAD_FRAMES = 15
# Where a container has no index of its keyframes, the first frame after a seek can lie later
# than was asked for; then the seek is tried again to an earlier time.
_SEEK_EARLY_SECONDS = (0, 10)
# A start or an end given as a decimal number means the decimal, not its nearest float.
_LARGEST_DENOMINATOR = 1_000_000


@dataclass(frozen=True)
class Place:
    """What is known of a decoded frame besides its picture."""

    pts: int
    """In units of the range's time base, from its origin."""
    role: Role


PlacedFrame = tuple[av.VideoFrame, Place]


class SourceRange:
    """The frames with start <= time < end, where time counts from the file's first frame.

    Where a start is asked for, the first frame of the range has the timestamp 0 and up to 15
    frames come before it with negative ones; otherwise timestamps are those of the file.

    Raises:
        InputError: no frame lies in the range, or none can be decoded.
    """

    def __init__(self, path: Path, decoder: SourceDecoder, options: MatteOptions) -> None:
        self._path = path
        self._decoder = decoder
        self._options = options
        self._frame_rate = decoder.header.average_fps
        self._stream_time_base = decoder.header.time_base
        self._start = _exact(options.start_seconds) or Fraction(0)
        self._end = _exact(options.end_seconds)
        self._restart_clock()
        placed = self._placed(decoder.frames())
        self.first_frame, self._file_start = next(placed)
        self.origin_pts = 0
        self.end_pts = 0
        self._kept = self._select(self._from_start(placed))
        self._head = self._read_head()

    @property
    def time_base(self) -> Fraction:
        """Seconds of one unit of the timestamps."""
        return self._timeline.time_base

    @property
    def first_pts(self) -> int:
        """Timestamp of the first frame with the role FRAMES."""
        return self._head[-1][1].pts

    def frames(self) -> Iterator[PlacedFrame]:
        """The frames of the range, after those that lead to it; once only.

        Raises:
            InputError: a limit is passed, or the picture changes its size.
        """
        return chain(self._head, self._kept)

    def _restart_clock(self) -> None:
        self._timeline = Timeline(self._stream_time_base, self._frame_rate)

    def _placed(self, frames: Iterator[av.VideoFrame]) -> Iterator[tuple[av.VideoFrame, int]]:
        for frame in frames:
            yield frame, self._timeline.place(frame.pts, frame.dts, frame.duration)

    def _from_start(
        self, placed: Iterator[tuple[av.VideoFrame, int]]
    ) -> Iterator[tuple[av.VideoFrame, int]]:
        """Frames from a keyframe well before the start of the range."""
        begun = chain([(self.first_frame, self._file_start)], placed)
        lead_s = self._start - LEAD_FRAMES / self._frame_rate
        if lead_s <= 0 or self.first_frame.pts is None:
            return begun
        for early_s in _SEEK_EARLY_SECONDS:
            near_pts = self.first_frame.pts + int((lead_s - early_s) / self._stream_time_base)
            self._restart_clock()
            sought = self._placed(self._decoder.frames(near_pts))
            first = next(sought, None)
            if first is not None and first[0].pts is not None and first[0].pts <= near_pts:
                return chain([first], sought)
        # The file's index is wrong or missing; reading it all is slower but right.
        self._restart_clock()
        return self._placed(self._decoder.frames())

    def _select(self, placed: Iterator[tuple[av.VideoFrame, int]]) -> Iterator[PlacedFrame]:
        lead = deque[tuple[av.VideoFrame, int]](maxlen=self._lead_frames())
        count = 0
        for frame, pts in placed:
            self._check_picture(frame)
            seconds = (pts - self._file_start) * self.time_base
            if seconds < self._start:
                lead.append((frame, pts))
                continue
            if self._end is not None and seconds >= self._end:
                break
            if not count:
                self.origin_pts = pts if self._start else 0
                yield from self._leading(lead)
            count += 1
            check_frames(self._path, count, self._options.limits)
            check_duration(self._path, seconds - self._start, self._options.limits)
            self.end_pts = self._frame_end() - self.origin_pts
            yield frame, Place(pts - self.origin_pts, Role.FRAMES)
        if not count:
            raise InputError(self._says_empty())

    def _leading(self, lead: deque[tuple[av.VideoFrame, int]]) -> Iterator[PlacedFrame]:
        while lead:
            frame, pts = lead.popleft()
            yield frame, Place(pts - self.origin_pts, Role.WARM_UP)

    def _lead_frames(self) -> int:
        return LEAD_FRAMES if self._options.warm_start else 0

    def _frame_end(self) -> int:
        end = self._timeline.end
        if self._end is None:
            return end
        return min(end, self._file_start + int(self._end / self.time_base))

    def _read_head(self) -> list[PlacedFrame]:
        """Up to the first frame that counts, so that an empty range is known at once."""
        head = []
        for frame, place in self._kept:
            head.append((frame, place))
            if place.role is Role.FRAMES:
                break
        return head

    def _check_picture(self, frame: av.VideoFrame) -> None:
        first = self.first_frame
        if (frame.width, frame.height) != (first.width, first.height):
            raise InputError(
                f"{self._path} changes its picture size from {first.width}x{first.height} to "
                f"{frame.width}x{frame.height} at {frame.time} s; cut it into parts of one size"
            )
        if frame.rotation != first.rotation:
            raise InputError(
                f"{self._path} turns its picture by {frame.rotation - first.rotation} degrees "
                f"at {frame.time} s; cut it into parts of one orientation"
            )

    def _says_empty(self) -> str:
        duration_s = float((self._timeline.end - self._file_start) * self.time_base)
        if duration_s <= self._start:
            return (
                f"the start is {float(self._start):g} s, but {self._path} ends after "
                f"{duration_s:.3f} s; choose an earlier start"
            )
        return (
            f"{self._path} has no frame from {float(self._start):g} s to "
            f"{float(self._end or duration_s):g} s; choose a longer part"
        )


def _exact(seconds: float | None) -> Fraction | None:
    if seconds is None:
        return None
    return Fraction(seconds).limit_denominator(_LARGEST_DENOMINATOR)
