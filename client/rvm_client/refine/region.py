"""What lies in a box or a polygon, or outside of some boxes."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from rvm_client.pixels import UInt8Array
from rvm_client.subject import Outline

# A polygon's share of a pixel is counted in so many samples across, and as many down.
_SAMPLES = 4


def coverage(outline: Outline, height_pixels: int, width_pixels: int) -> UInt8Array:
    """The share of each pixel that lies within, [H,W], 0 to 255: exact for a box, of 4x4 samples
    for a polygon."""
    if not outline.is_box:
        return _of_polygon(outline, height_pixels, width_pixels)
    left, top, right, bottom = outline.points
    rows = _between(top * height_pixels, bottom * height_pixels, height_pixels)
    columns = _between(left * width_pixels, right * width_pixels, width_pixels)
    share: UInt8Array = np.rint(255 * np.outer(rows, columns)).astype(np.uint8)
    return share


def _between(first: float, last: float, count: int) -> npt.NDArray[np.float32]:
    """The share of each of `count` pixels that lies between two places."""
    pixels = np.arange(count)
    shares = np.minimum(pixels + 1, last) - np.maximum(pixels, first)
    return shares.clip(0, 1).astype(np.float32)


def _of_polygon(outline: Outline, height: int, width: int) -> UInt8Array:
    # A sample is in where its centre is.
    corners = np.array(outline.points).reshape(-1, 2) * [width, height] * _SAMPLES - 0.5
    drawing = Image.new("L", (width * _SAMPLES, height * _SAMPLES))
    ImageDraw.Draw(drawing).polygon([(x, y) for x, y in corners.tolist()], fill=255)
    share: UInt8Array = np.asarray(drawing.reduce(_SAMPLES))
    return share
