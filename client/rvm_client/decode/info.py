"""What the header of a video says, checked, and made into a VideoInfo."""

from fractions import Fraction
from pathlib import Path

from av.video.reformatter import ColorPrimaries, ColorTrc

from rvm_client.decode.colour import source_colour
from rvm_client.decode.geometry import Geometry
from rvm_client.decode.header import SourceHeader
from rvm_client.decode.limits import check_duration, check_frame_pixels, check_frames
from rvm_client.decode.trim import SourceRange
from rvm_client.frames import VideoInfo
from rvm_client.options import Limits, MatteOptions, Segment


def check_header(path: Path, header: SourceHeader, options: MatteOptions, limits: Limits) -> None:
    """Refuse what is above a limit by its own header, before anything is decoded.

    Raises:
        InputError: naming the limit.
    """
    seconds = _kept_seconds(header, options)
    if seconds is not None:
        check_duration(path, seconds, limits)
    if _is_whole(options):
        check_frames(path, header.frames, limits)


def check_shown_pixels(path: Path, picture: Geometry, limits: Limits) -> None:
    """Refuse a picture that is too large once its pixels are square, as some outputs have them.

    Raises:
        InputError: naming the limit.
    """
    ratio = picture.sample_aspect_ratio
    shown_width = round(picture.width_pixels * max(ratio, Fraction(1)))
    shown_height = round(picture.height_pixels / min(ratio, Fraction(1)))
    check_frame_pixels(path, shown_width, shown_height, limits)


def describe(
    header: SourceHeader, options: MatteOptions, part: SourceRange, picture: Geometry
) -> VideoInfo:
    """All that is known of a video before its frames are read."""
    fps = header.average_fps
    seconds = _kept_seconds(header, options)
    if seconds is not None and options.segment is not None:
        seconds = _seconds_of(options.segment, part, seconds)
    frames = header.frames if _is_whole(options) else 0
    colour = source_colour(part.first_frame)
    return VideoInfo(
        width_pixels=picture.width_pixels,
        height_pixels=picture.height_pixels,
        time_base=part.time_base,
        average_fps=fps,
        duration_seconds=seconds,
        frame_count_from_header=frames or (round(seconds * fps) if seconds else None),
        sample_aspect_ratio=picture.sample_aspect_ratio,
        first_pts=part.first_pts,
        origin_seconds=part.origin_pts * part.time_base,
        color_primaries=int(ColorPrimaries.BT709) if colour.is_hdr else colour.primaries,
        color_trc=int(ColorTrc.BT709) if colour.is_hdr else colour.transfer,
        tone_mapped=colour.is_hdr,
    )


def _is_whole(options: MatteOptions) -> bool:
    is_trimmed = options.start_seconds or options.end_seconds is not None
    return not is_trimmed and options.segment is None


def _seconds_of(segment: Segment, whole: SourceRange, whole_seconds: float) -> float:
    """How long a segment of what lasts `whole_seconds` is."""
    start = float((segment.start_pts - segment.first_pts) * whole.time_base)
    if segment.end_pts is None:
        return max(0.0, whole_seconds - start)
    return float((segment.end_pts - segment.start_pts) * whole.time_base)


def _kept_seconds(header: SourceHeader, options: MatteOptions) -> float | None:
    """How long the part that was asked for lasts, by the header."""
    whole = header.duration_seconds
    if whole is None:
        return None
    end = whole if options.end_seconds is None else min(whole, options.end_seconds)
    return max(0.0, end - (options.start_seconds or 0.0))
