"""What a file says of its video before anything is decoded; it may be wrong."""

from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from rvm_client.decode.stream import SourceStream

_USUAL_TIME_BASE = Fraction(1, 90_000)
_USUAL_FPS = Fraction(25)
# Of a pixel's sides. Real ones are below 4; beyond this a picture would be of absurd size.
_MAX_ASPECT_RATIO = 16


@dataclass(frozen=True)
class SourceHeader:
    """The header of a video stream."""

    time_base: Fraction
    """Seconds of one tick of the timestamps."""
    average_fps: Fraction
    """Good for progress, and where a duration is missing."""
    frames: int
    """0 where it does not say."""
    duration_seconds: float | None
    sample_aspect_ratio: Fraction | None
    """Width to height of a stored pixel."""


def read_header(opened: SourceStream) -> SourceHeader:
    """The header of an open file; usual values where it says nothing."""
    stream = opened.stream
    return SourceHeader(
        time_base=stream.time_base or _USUAL_TIME_BASE,
        average_fps=stream.average_rate or stream.guessed_rate or _USUAL_FPS,
        frames=stream.frames,
        duration_seconds=_duration_seconds(opened.container, stream),
        sample_aspect_ratio=_sample_aspect_ratio(stream),
    )


def _sample_aspect_ratio(stream: VideoStream) -> Fraction | None:
    ratio = stream.sample_aspect_ratio
    if not ratio or not 1 <= max(ratio, 1 / ratio) <= _MAX_ASPECT_RATIO:
        return None
    return ratio


def _duration_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return float(Fraction(container.duration, av.time_base))
    return None
