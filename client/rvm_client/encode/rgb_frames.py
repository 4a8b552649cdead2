"""RGB pictures with alpha to the frames of each output type."""

from collections.abc import Mapping

import av

from rvm_client.encode.backdrops import Backdrop
from rvm_client.encode.edges import bleed_edges
from rvm_client.encode.video_file import FrameMaker
from rvm_client.encode.yuv import (
    grey_frame,
    pad_to_even,
    stacked_frame,
    yuv_frame,
    yuva420_frame,
    yuva444_10_bit_frame,
)
from rvm_client.frames import Picture
from rvm_client.output_types import OutputType
from rvm_client.pixels import composite


def frame_makers(backdrop: Backdrop) -> Mapping[OutputType, FrameMaker]:
    """What makes the frames of the output's file, for each type that is a video."""
    return {
        OutputType.GREENSCREEN: _over(backdrop),
        OutputType.ALPHA: _alpha,
        OutputType.ALPHA_PRORES: _alpha_prores,
        OutputType.ALPHA_HEVC: _alpha_of_even_size,
        OutputType.MATTE: matte,
        OutputType.FOREGROUND_AND_MATTE: _foreground,
        OutputType.ALPHA_STACKED: _stacked,
    }


def matte(picture: Picture) -> av.VideoFrame:
    """The alpha alone; of a picture in any layout."""
    return grey_frame(pad_to_even(picture.pha))


def _over(backdrop: Backdrop) -> FrameMaker:
    def make_frame(picture: Picture) -> av.VideoFrame:
        behind = backdrop.at(picture.seconds)
        return yuv_frame(pad_to_even(composite(picture.fgr, picture.pha, behind)), "yuv420p")

    return make_frame


def _alpha(picture: Picture) -> av.VideoFrame:
    return yuva420_frame(bleed_edges(picture.fgr, picture.pha), picture.pha)


def _alpha_of_even_size(picture: Picture) -> av.VideoFrame:
    colour = pad_to_even(bleed_edges(picture.fgr, picture.pha))
    return yuva420_frame(colour, pad_to_even(picture.pha))


def _alpha_prores(picture: Picture) -> av.VideoFrame:
    colour = pad_to_even(bleed_edges(picture.fgr, picture.pha))
    return yuva444_10_bit_frame(colour, pad_to_even(picture.pha))


def _foreground(picture: Picture) -> av.VideoFrame:
    return yuv_frame(pad_to_even(bleed_edges(picture.fgr, picture.pha)), "yuv420p")


def _stacked(picture: Picture) -> av.VideoFrame:
    return stacked_frame(_foreground(picture), pad_to_even(picture.pha))
