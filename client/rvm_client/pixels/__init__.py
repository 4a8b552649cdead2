"""How pixels lie in memory, what they mean, and how one lies over another."""

from rvm_client.pixels.colours import COLOUR_FORMS, parse_colour
from rvm_client.pixels.compositing import (
    GREEN,
    Colour,
    checkerboard,
    composite,
    composite_plane,
    halved,
    plane_rows,
)
from rvm_client.pixels.layouts import I420, RGB, PixelLayout, UInt8Array, planes
from rvm_client.pixels.yuv_matrix import LUMA_WEIGHTS, RGB_TO_BT709, Matrix, rgb_to_yuv, yuv_to_rgb

__all__ = [
    "COLOUR_FORMS",
    "GREEN",
    "I420",
    "LUMA_WEIGHTS",
    "RGB",
    "RGB_TO_BT709",
    "Colour",
    "Matrix",
    "PixelLayout",
    "UInt8Array",
    "checkerboard",
    "composite",
    "composite_plane",
    "halved",
    "parse_colour",
    "plane_rows",
    "planes",
    "rgb_to_yuv",
    "yuv_to_rgb",
]
