"""A person with an alpha that is known: cut from the public-domain portrait of the golden data.

Her outline is where the reference's matte of the portrait passes one half, softened by a Gaussian.
So the outline is the network's, but what becomes of it is the truth by definition: her colour is
replaced at and beyond the edge by colour from inside, so nothing of the old background is left.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from rvm_export.evaluate.metrics import UInt8Array
from rvm_export.verify import INT8_CASES

DoubleArray = npt.NDArray[np.float64]

# The last frame of this case: the state has settled, and she is highest in the picture.
_CASE, _FRAME = INT8_CASES[0], -1
# The last rows are at the border, where the matte is less sure.
PORTRAIT_HEIGHT_PIXELS = 284
_EDGE_SIGMA_PIXELS = 1.0
# Colour is taken from this far inside the outline.
_INSIDE_PIXELS = 3
# The suit goes on below the portrait, so that she may lean, and stand farther off.
_BELOW = 0.45

# In the portrait's pixels (x, y): what she turns about, and the ellipse around her hair.
PIVOT = (200.0, 270.0)
HEAD_CENTRE, HEAD_RADII = (210.0, 64.0), (72.0, 59.0)


@dataclass(frozen=True)
class CutOut:
    """The person, alone."""

    fgr: UInt8Array
    """[h,w,3], straight, filled beyond the edge."""
    pha: UInt8Array
    """[h,w]."""
    scale: float
    """Pixels to one of the portrait."""

    @property
    def hair_colour(self) -> DoubleArray:
        """[3], the mean at the top of the head."""
        (x, y), (rx, ry) = HEAD_CENTRE, HEAD_RADII
        box = np.array([y - ry + 8, y - ry / 2, x - rx / 2, x + rx / 2]) * self.scale
        top, bottom, left, right = box.astype(int)
        return np.asarray(self.fgr[top:bottom, left:right].mean(axis=(0, 1)))


@cache
def cut_out(height_pixels: int) -> CutOut:
    """The person, for frames of this height: as large as in the portrait."""
    picture = _CASE.src[_FRAME][:PORTRAIT_HEIGHT_PIXELS]
    solid = np.where(_CASE.pha[_FRAME][:PORTRAIT_HEIGHT_PIXELS] > 127, 255, 0).astype(np.uint8)
    below = ((0, int(PORTRAIT_HEIGHT_PIXELS * _BELOW)), (0, 0))
    picture = np.pad(picture, (*below, (0, 0)), mode="edge")
    outline = Image.fromarray(np.pad(solid, below, mode="edge"))
    inside = np.asarray(outline.filter(ImageFilter.MinFilter(2 * _INSIDE_PIXELS + 1))) > 0
    pha = outline.filter(ImageFilter.GaussianBlur(_EDGE_SIGMA_PIXELS))
    fgr = Image.fromarray(_filled(picture, inside))
    scale = height_pixels / PORTRAIT_HEIGHT_PIXELS
    size = (round(pha.width * scale), round(pha.height * scale))
    return CutOut(np.asarray(fgr.resize(size)), np.asarray(pha.resize(size)), scale)


def _filled(picture: UInt8Array, known: npt.NDArray[np.bool_]) -> UInt8Array:
    """The picture [H,W,3] where it is known; elsewhere the mean colours of what is near."""
    weight = known[..., None].astype(np.float64)
    return np.rint(_pulled(picture * weight, weight)).astype(np.uint8)


def _pulled(weighted: DoubleArray, weight: DoubleArray) -> DoubleArray:
    """Colours at each pixel, from pictures of half the size where there are none."""
    colours = np.asarray(weighted / np.maximum(weight, 1))
    if weight.all() or min(weight.shape[:2]) == 1:
        return colours
    height, width = weight.shape[:2]
    coarse = _pulled(_halved(weighted), _halved(weight))
    larger = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.asarray(np.where(weight > 0, colours, larger))


def _halved(picture: DoubleArray) -> DoubleArray:
    """Sums over blocks of 2x2."""
    height, width = picture.shape[:2]
    even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)))
    blocks = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, -1)
    return np.asarray(blocks.sum(axis=(1, 3)))
