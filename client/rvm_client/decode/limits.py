"""What a source video must be before it is decoded, and stay while it is."""

from fractions import Fraction
from pathlib import Path

import av

from rvm_client.errors import InputError
from rvm_client.options import Limits

# Real videos have a few; each costs memory and time when the file is opened.
_MAX_STREAMS = 64


def video_stream(container: av.container.InputContainer, path: Path) -> av.video.stream.VideoStream:
    """The stream to decode.

    Raises:
        InputError: the file has no video that can be decoded, or far too many streams.
    """
    if len(container.streams) > _MAX_STREAMS:
        raise InputError(
            f"{path} has {len(container.streams)} streams, and {_MAX_STREAMS} is the limit; "
            "keep the video and its sound only"
        )
    stream = container.streams.best("video")
    if not isinstance(stream, av.video.stream.VideoStream) or not stream.codec_context:
        raise InputError(f"{path} has no video stream")
    if stream.disposition & av.stream.Disposition.attached_pic:
        raise InputError(f"{path} has no video stream, only a cover picture")
    return stream


def check_frame_pixels(path: Path, width: int, height: int, limits: Limits) -> None:
    """Refuse pictures that are too large.

    Raises:
        InputError: naming the limit.
    """
    if width * height > limits.max_frame_pixels:
        raise InputError(
            f"{path} has pictures of {width}x{height} = {width * height} pixels, above the "
            f"limit of {limits.max_frame_pixels} pixels a frame (max_frame_pixels); "
            "scale it down first"
        )


def check_duration(path: Path, seconds: float | Fraction, limits: Limits) -> None:
    """Refuse a video, or the part of one that is asked for, that is too long.

    Raises:
        InputError: naming the limit.
    """
    if seconds > limits.max_duration_seconds:
        raise InputError(
            f"{path} lasts {float(seconds):.1f} s or more, above the limit of "
            f"{limits.max_duration_seconds:g} s (max_duration_seconds); cut it into parts"
        )


def check_frames(path: Path, frames: int, limits: Limits) -> None:
    """Refuse a video, or the part of one that is asked for, of too many frames.

    Raises:
        InputError: naming the limit.
    """
    if frames > limits.max_frames:
        raise InputError(
            f"{path} has {frames} frames or more, above the limit of {limits.max_frames} "
            "frames (max_frames); cut it into parts"
        )
