"""I420 pictures with alpha to the frames of those output types that keep 8-bit 4:2:0.

The planes are those of the file, BT.709 of limited range, so no colour is converted.
"""

from collections.abc import Mapping, Sequence

import av
import numpy as np

from rvm_client.encode.backdrops import Backdrop
from rvm_client.encode.edges import bleed_planes
from rvm_client.encode.rgb_frames import matte
from rvm_client.encode.video_file import FrameMaker
from rvm_client.encode.yuv import stacked_frame, yuv_frame
from rvm_client.frames import Picture
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import (
    RGB_TO_BT709,
    Colour,
    UInt8Array,
    composite_plane,
    halved,
    plane_rows,
    planes,
)

_ALPHA_PLANE = 3


def takes_planes(options: MatteOptions) -> bool:
    """Whether all files that the options ask for can be made of I420 pictures."""
    needs_rgb = options.refinements.needs_rgb
    if needs_rgb or options.preview is not None or options.poster is not None:
        return False
    return all(output_type.facts.takes_planes for output_type in options.output_types)


def frame_makers(backdrop: Backdrop) -> Mapping[OutputType, FrameMaker]:
    """What makes the frames of the output's file, for each type that can have I420."""
    return {
        OutputType.GREENSCREEN: _Over(backdrop),
        OutputType.ALPHA: _alpha,
        OutputType.ALPHA_HEVC: _alpha,
        OutputType.MATTE: matte,
        OutputType.FOREGROUND_AND_MATTE: _foreground,
        OutputType.ALPHA_STACKED: _stacked,
    }


class _Over:
    """Puts pictures over a backdrop; what it shows is converted when it changes."""

    def __init__(self, backdrop: Backdrop) -> None:
        self._backdrop = backdrop
        self._shown: UInt8Array | Colour | None = None
        self._behind: Sequence[UInt8Array | int] = ()

    def __call__(self, picture: Picture) -> av.VideoFrame:
        shown = self._backdrop.at(picture.seconds)
        if shown is not self._shown:
            self._shown, self._behind = shown, _in_planes(shown)
        luma, chroma = planes(picture.fgr)
        coarse = halved(picture.pha)
        frame = _empty_frame(picture.pha, "yuv420p")
        for fgr, pha, behind, out in zip(
            (luma, *chroma),
            (picture.pha, coarse, coarse),
            self._behind,
            _pixels_of(frame),
            strict=True,
        ):
            composite_plane(fgr, pha, behind, out)
        return frame


def _alpha(picture: Picture) -> av.VideoFrame:
    frame = _foreground(picture, "yuva420p")
    np.copyto(_pixels_of(frame)[_ALPHA_PLANE], picture.pha)
    return frame


def _foreground(picture: Picture, pix_fmt: str = "yuv420p") -> av.VideoFrame:
    frame = _empty_frame(picture.pha, pix_fmt)
    # Alpha, where there is a plane for it, is written by whoever asked for it.
    for plane, out in zip(bleed_planes(picture.fgr, picture.pha), _pixels_of(frame), strict=False):
        np.copyto(out, plane)
    return frame


def _stacked(picture: Picture) -> av.VideoFrame:
    return stacked_frame(_foreground(picture), picture.pha)


def _empty_frame(pha: UInt8Array, pix_fmt: str) -> av.VideoFrame:
    height, width = pha.shape
    return av.VideoFrame(width, height, pix_fmt)


def _pixels_of(frame: av.VideoFrame) -> list[UInt8Array]:
    """The planes of a frame as [rows,columns]; no copies."""
    return [plane_rows(plane)[:, : plane.width] for plane in frame.planes]


def _in_planes(shown: UInt8Array | Colour) -> Sequence[UInt8Array | int]:
    """Y, U and V of a picture [H,W,3] of even size, or of one colour."""
    if isinstance(shown, tuple):
        matrix = np.array(RGB_TO_BT709)
        levels: list[int] = np.rint(matrix[:, :3] @ shown + matrix[:, 3]).astype(int).tolist()
        return levels
    return _pixels_of(yuv_frame(shown, "yuv420p"))
