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
from rvm_client.options import Limits, MatteOptions

# Frames before the start of a trimmed video that warm the model's state up.
_LEAD_FRAMES = 15
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


@dataclass(frozen=True)
class SourceRange:
    """The frames with start <= time < end, where time counts from the file's first frame.

    Where a start is asked for, the first frame of the range has the timestamp 0 and up to 15
    frames come before it with negative ones; otherwise timestamps are those of the file.
    """

    first_frame: av.VideoFrame
    """That of the file, wherever the range begins."""
    time_base: Fraction
    """Seconds of one unit of the timestamps."""
    origin_pts: int
    """What was taken from the file's timestamps."""
    first_pts: int
    """Timestamp of the first frame with the role FRAMES."""
    frames: Iterator[PlacedFrame]
    """The frames of the range, after those that lead to it; once only. An InputError comes out
    where a limit is passed, or the picture changes its size."""


def open_range(
    path: Path, decoder: SourceDecoder, options: MatteOptions, limits: Limits
) -> SourceRange:
    """Decode up to the first frame of the part that is asked for.

    Raises:
        InputError: no frame lies in it, or none can be decoded.
    """
    timed = _timed_frames(decoder)
    first = next(timed)
    part = _part(path, options, limits, first, _timeline(decoder).time_base)
    selected = part.select(_from_start(decoder, part, first, timed))
    # An empty range is known at once.
    head = _up_to_first(selected)
    if options.segment is not None:
        origin_pts, first_pts = options.segment.origin_pts, options.segment.first_pts
    else:
        origin_pts = head[-1][0].pts if part.start else 0
        first_pts = head[-1][0].pts - origin_pts
    return SourceRange(
        first_frame=first.frame,
        time_base=part.time_base,
        origin_pts=origin_pts,
        first_pts=first_pts,
        frames=(
            (timed.frame, Place(timed.pts - origin_pts, role))
            for timed, role in chain(head, selected)
        ),
    )


@dataclass(frozen=True)
class _TimedFrame:
    frame: av.VideoFrame
    pts: int
    """On the file's clock, in units of the timeline's time base."""
    end_pts: int


_Selected = Iterator[tuple[_TimedFrame, Role]]


def _timeline(decoder: SourceDecoder) -> Timeline:
    return Timeline(decoder.header.time_base, decoder.header.average_fps)


def _timed_frames(decoder: SourceDecoder, near_pts: int | None = None) -> Iterator[_TimedFrame]:
    timeline = _timeline(decoder)
    for frame in decoder.frames(near_pts):
        pts = timeline.place(frame.pts, frame.dts, frame.duration)
        yield _TimedFrame(frame, pts, timeline.end)


def _from_start(
    decoder: SourceDecoder, part: "_Part", first: _TimedFrame, others: Iterator[_TimedFrame]
) -> Iterator[_TimedFrame]:
    """Frames from a keyframe well before the start of the range."""
    lead_s = part.start - max(part.lead_frames, _LEAD_FRAMES) / decoder.header.average_fps
    file_start_pts = first.frame.pts
    if lead_s <= 0 or file_start_pts is None:
        return chain([first], others)
    for early_s in _SEEK_EARLY_SECONDS:
        near_pts = file_start_pts + int((lead_s - early_s) / decoder.header.time_base)
        sought = _timed_frames(decoder, near_pts)
        found = next(sought, None)
        if found is not None and found.frame.pts is not None and found.frame.pts <= near_pts:
            return chain([found], sought)
    # The file's index is wrong or missing; reading it all is slower but right.
    return _timed_frames(decoder)


def _up_to_first(selected: _Selected) -> list[tuple[_TimedFrame, Role]]:
    head = []
    for timed, role in selected:
        head.append((timed, role))
        if role is Role.FRAMES:
            break
    return head


@dataclass(frozen=True)
class _Part:
    """What is asked for of a file."""

    path: Path
    limits: Limits
    first: _TimedFrame
    """The first frame of the file."""
    time_base: Fraction
    start: Fraction
    end: Fraction | None
    """In seconds after the first frame of the file; None: as long as it lasts."""
    lead_frames: int
    after_frames: int = 0
    """How many may come after the end."""
    last_end: Fraction | None = None
    """Where these end, too."""

    def select(self, frames: Iterator[_TimedFrame]) -> _Selected:
        """The frames of the part, after those that lead to it and before those that follow."""
        lead = deque[_TimedFrame](maxlen=self.lead_frames)
        count, after, timed = 0, 0, self.first
        for timed in frames:
            self._check_picture(timed.frame)
            seconds = self._seconds(timed.pts)
            if seconds < self.start:
                lead.append(timed)
            elif self.end is None or seconds < self.end:
                while lead:
                    yield lead.popleft(), Role.WARM_UP
                count += 1
                check_frames(self.path, count, self.limits)
                check_duration(self.path, seconds - self.start, self.limits)
                yield timed, Role.FRAMES
            elif after < self.after_frames and (self.last_end is None or seconds < self.last_end):
                after += 1
                yield timed, Role.AFTER
            else:
                break
        if not count:
            raise InputError(self._says_empty(float(self._seconds(timed.end_pts))))

    def _seconds(self, pts: int) -> Fraction:
        return (pts - self.first.pts) * self.time_base

    def _check_picture(self, frame: av.VideoFrame) -> None:
        first = self.first.frame
        if (frame.width, frame.height) != (first.width, first.height):
            raise InputError(
                f"{self.path} changes its picture size from {first.width}x{first.height} to "
                f"{frame.width}x{frame.height} at {frame.time} s; cut it into parts of one size"
            )
        if frame.rotation != first.rotation:
            raise InputError(
                f"{self.path} turns its picture by {frame.rotation - first.rotation} degrees "
                f"at {frame.time} s; cut it into parts of one orientation"
            )

    def _says_empty(self, duration_seconds: float) -> str:
        if duration_seconds <= self.start:
            return (
                f"the start is {float(self.start):g} s, but {self.path} ends after "
                f"{duration_seconds:.3f} s; choose an earlier start"
            )
        return (
            f"{self.path} has no frame from {float(self.start):g} s to "
            f"{float(self.end or duration_seconds):g} s; choose a longer part"
        )


def _part(
    path: Path, options: MatteOptions, limits: Limits, first: _TimedFrame, time_base: Fraction
) -> _Part:
    start = _exact(options.start_seconds) or Fraction(0)
    end = _exact(options.end_seconds)
    segment = options.segment
    if segment is None:
        lead_frames = _LEAD_FRAMES if options.warm_start else 0
        return _Part(path, limits, first, time_base, start, end, lead_frames)

    def seconds(pts: int) -> Fraction:
        return (segment.origin_pts + pts - first.pts) * time_base

    return _Part(
        path,
        limits,
        first,
        time_base,
        start=seconds(segment.start_pts),
        end=end if segment.end_pts is None else seconds(segment.end_pts),
        lead_frames=segment.lead_frames,
        after_frames=segment.after_frames,
        last_end=end,
    )


def _exact(seconds: float | None) -> Fraction | None:
    if seconds is None:
        return None
    return Fraction(seconds).limit_denominator(_LARGEST_DENOMINATOR)
