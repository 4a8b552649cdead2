"""Where a video is cut into segments: at cuts between scenes, where there are any near by."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rvm_client.decode import Reader
from rvm_client.frames import Role, SourceChunk, VideoInfo
from rvm_client.isolated import Opener, OpensHere
from rvm_client.options import Limits, MatteOptions, Segment
from rvm_client.pipeline import COMPARED_FRAMES, lead_frames
from rvm_client.scenes import cut_times

# A segment is long against the frames that are matted twice at its start.
AUTO_SEGMENT_SECONDS = 60.0
# How far from its place a joint may be moved to a cut.
_WINDOW_SECONDS = 3.0


@dataclass(frozen=True)
class Joint:
    """Where a segment begins."""

    pts: int
    """Of its first frame, or the time from which on it has frames."""
    is_cut: bool
    """A scene begins there, so nothing is carried over."""


@dataclass(frozen=True)
class SplitPlan:
    """How a video is cut. Timestamps are those of the result."""

    origin_pts: int
    """What the result takes from the file's timestamps."""
    first_pts: int
    frames_expected: int | None
    ticks_per_frame: float
    """Of the average rate."""
    warm_start: bool
    joints: tuple[Joint, ...]

    @property
    def segments(self) -> int:
        """One more than joints."""
        return len(self.joints) + 1

    def segment(self, number: int, *, is_continued: bool = False) -> Segment:
        """What to make as the segment `number`, from 0 on.

        Args:
            number: of the segment.
            is_continued: it gets the state of the frame before it.
        """
        start = self.joints[number - 1].pts if number else self.first_pts
        end = self.joints[number].pts if number < len(self.joints) else None
        lead = lead_frames(warm_start=self.warm_start, is_continued=is_continued)
        return Segment(
            origin_pts=self.origin_pts,
            first_pts=self.first_pts,
            start_pts=start,
            end_pts=end,
            frames_before=round((start - self.first_pts) / self.ticks_per_frame),
            lead_frames=lead,
            after_frames=COMPARED_FRAMES,
        )


@dataclass(frozen=True)
class _Source:
    """What is planned for."""

    path: Path
    options: MatteOptions
    limits: Limits
    opener: Opener

    def info(self) -> VideoInfo:
        with self.open(self.options) as reader:
            return reader.info

    def open(self, options: MatteOptions) -> Reader:
        return self.opener.video(self.path, options, self.limits.in_software())


def why_whole(options: MatteOptions) -> str | None:
    """Why results of these options are made in one piece; None: they need not be."""
    facts = options.output_type.facts
    if not facts.can_be_joined:
        return f"output type {options.output_type.value} is written in one piece"
    if options.bitrate_bits_per_second is not None:
        return "what is left of a bit rate is known only to the encoder that spent the rest of it"
    if options.preview is not None:
        return "the preview is chosen among all frames"
    if options.also:
        return "there are several results"
    if options.refinements.has_memory:
        return "a refinement looks at the frames before"
    return None


def plan_split(
    path: Path,
    options: MatteOptions,
    limits: Limits,
    segment_seconds: float = AUTO_SEGMENT_SECONDS,
    *,
    opener: Opener | None = None,
) -> SplitPlan | None:
    """Where to cut a video into segments of about `segment_seconds`; None: it is too short.

    A joint lies at a cut where there is one within 3 seconds, else where it falls.

    Raises:
        InputError: as VideoReader.
    """
    source = _Source(path, options, limits, opener or OpensHere())
    info = source.info()
    seconds = info.duration_seconds
    if seconds is None or seconds < 2 * segment_seconds:
        return None
    segments = math.floor(seconds / segment_seconds)
    plan = SplitPlan(
        origin_pts=round(info.origin_seconds / info.time_base),
        first_pts=info.first_pts,
        frames_expected=info.frame_count_from_header,
        ticks_per_frame=float(1 / (info.average_fps * info.time_base)),
        warm_start=options.warm_start,
        joints=(),
    )
    step_seconds = seconds / segments
    reach = round(min(_WINDOW_SECONDS, step_seconds / 3) / info.time_base)
    joints = []
    for number in range(1, segments):
        near_pts = info.first_pts + round(number * step_seconds / info.time_base)
        joints.append(_joint(source, plan, near_pts, reach))
    return replace(plan, joints=tuple(joints))


def _joint(source: _Source, plan: SplitPlan, near_pts: int, reach: int) -> Joint:
    """At the nearest cut within reach; else where it is asked for."""
    if not source.options.warm_start:
        # Cuts mean nothing: the state is carried over.
        return Joint(near_pts, is_cut=False)
    part = replace(
        plan.segment(0, is_continued=True),
        start_pts=near_pts - reach,
        end_pts=near_pts + reach,
    )
    with source.open(replace(source.options, segment=part)) as reader:
        cuts = list(_cuts(reader))
    nearest = min(cuts, key=lambda pts: abs(pts - near_pts), default=None)
    return Joint(near_pts if nearest is None else nearest, is_cut=nearest is not None)


def _cuts(reader: Reader) -> Iterator[int]:
    """Timestamps of the cuts inside the segment that is read."""
    inside = set[int]()

    def noted() -> Iterator[SourceChunk]:
        for chunk in reader.chunks(1):
            if chunk.role is Role.FRAMES:
                inside.update(chunk.pts)
            yield chunk

    yield from (pts for pts in cut_times(noted(), reader.info.layout) if pts in inside)
