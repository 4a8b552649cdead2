"""Single pictures of a video, with alpha."""

from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation

from rvm_client.decode.colour import source_colour
from rvm_client.decode.decoder import SourceDecoder
from rvm_client.decode.geometry import Orientation, orientation
from rvm_client.errors import InputError
from rvm_client.pixels import UInt8Array


def read_rgba_at(
    path: Path, moments_seconds: list[float], *, is_stacked: bool = False
) -> list[UInt8Array]:
    """The frames that show at the given moments, upright, as [H,W,4] with straight alpha.

    Args:
        path: a video file.
        moments_seconds: counted from the first frame.
        is_stacked: the lower half of each frame is the alpha of the upper one, as grey.

    Raises:
        InputError: the file cannot be decoded, or has no frames.
    """
    with SourceDecoder(path, None, keeps_alpha=True) as decoder:
        first = next(decoder.frames())
        frames = (_frame_at(decoder, first, moment_s) for moment_s in moments_seconds)
        pictures = [_turned(rgba(frame), orientation(frame)) for frame in frames]
        return [_unstacked(picture) if is_stacked else picture for picture in pictures]


def rgba(frame: av.VideoFrame) -> UInt8Array:
    """The stored picture as [H,W,4], full range, straight alpha.

    Raises:
        InputError: its colours cannot be converted.
    """
    colour = source_colour(frame)
    picture = frame.reformat(
        format="rgba",
        # The faster conversion leaves the last alpha of a row of odd width as it finds it.
        interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND,
        src_colorspace=colour.matrix,
        dst_colorspace=colour.matrix,
        src_color_range=colour.range_code,
        dst_color_range=ColorRange.JPEG,
    )
    return picture.to_ndarray().astype(np.uint8, copy=False)


def _frame_at(decoder: SourceDecoder, first: av.VideoFrame, moment_seconds: float) -> av.VideoFrame:
    if first.pts is None or first.time_base is None:
        raise InputError("the file has no timestamps to find a picture by")
    wanted_pts = first.pts + int(moment_seconds / first.time_base)
    last: av.VideoFrame | None = None
    for frame in decoder.frames(wanted_pts):
        if last is not None and frame.pts is not None and frame.pts > wanted_pts:
            break
        last = frame
    return last or first


def _unstacked(picture: UInt8Array) -> UInt8Array:
    height = picture.shape[0] // 2
    colour, grey = picture[:height, :, :3], picture[height : 2 * height, :, :1]
    return np.concatenate([colour, grey], axis=-1)


def _turned(picture: UInt8Array, turn: Orientation) -> UInt8Array:
    if turn.transposed:
        picture = picture.swapaxes(0, 1)
    return picture[:: -1 if turn.mirrored_y else 1, :: -1 if turn.mirrored_x else 1]
