"""What lies in a box or a polygon, or outside of some boxes."""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from rvm_client.pixels import UInt8Array
from rvm_client.refine.scaling import scaled
from rvm_client.refine.tiles import TILE_PIXELS, edge_tiles
from rvm_client.subject import Outline, Subject

# A polygon's share of a pixel is counted in so many samples across, and as many down.
_SAMPLES = 4


@dataclass(frozen=True)
class Mask:
    """The share of each pixel that stays."""

    whole: UInt8Array
    """[H,W]: 0 where nothing stays, else 255."""
    places: npt.NDArray[np.intp]
    """Of the pixels, counted row by row, that stay in part."""
    shares: UInt8Array
    """Theirs, of 255."""

    @classmethod
    def of(cls, share: UInt8Array) -> "Mask":
        """By the share of each pixel, [H,W] of 0 to 255."""
        places = np.flatnonzero((share > 0) & (share < 255))
        whole = np.where(share > 0, np.uint8(255), np.uint8(0))
        return cls(whole, places, share.ravel()[places])

    def applied(self, pha: UInt8Array) -> UInt8Array:
        """The alpha [H,W] of what stays."""
        kept: UInt8Array = pha & self.whole
        kept.ravel()[self.places] = scaled(pha.ravel()[self.places], self.shares)
        return kept


class Masks:
    """The mask of what a subject's region and boxes leave, at each time."""

    def __init__(self, subject: Subject, height_pixels: int, width_pixels: int) -> None:
        self._region = subject.region
        self._size = height_pixels, width_pixels
        self._excludes = bool(subject.exclude)
        boxes = (coverage(Outline(box, is_box=True), *self._size) for box in subject.exclude)
        everything = np.full(self._size, 255, np.uint8)
        self._outside = reduce(lambda left, box: scaled(left, ~box), boxes, everything)
        self._outline: Outline | None = None
        self._mask = Mask.of(self._outside)

    def at(self, seconds: float) -> Mask:
        """The one of a time."""
        if self._region is not None and self._region.at(seconds) != self._outline:
            self._outline = self._region.at(seconds)
            share = coverage(self._outline, *self._size)
            self._mask = Mask.of(scaled(self._outside, share) if self._excludes else share)
        return self._mask


def coverage(outline: Outline, height_pixels: int, width_pixels: int) -> UInt8Array:
    """The share of each pixel that lies within, [H,W], 0 to 255: exact for a box, of 4x4 samples
    for a polygon."""
    if not outline.is_box:
        return _of_polygon(outline, height_pixels, width_pixels)
    left, top, right, bottom = outline.points
    rows = _between(top * height_pixels, bottom * height_pixels, height_pixels)
    columns = _between(left * width_pixels, right * width_pixels, width_pixels)
    share = np.zeros((height_pixels, width_pixels), np.uint8)
    share[rows == 1] = np.rint(255 * columns).astype(np.uint8)
    for row in np.flatnonzero((rows > 0) & (rows < 1)):
        share[row] = np.rint(255 * rows[row] * columns).astype(np.uint8)
    return share


def _between(first: float, last: float, count: int) -> npt.NDArray[np.float32]:
    """The share of each of `count` pixels that lies between two places."""
    pixels = np.arange(count)
    shares = np.minimum(pixels + 1, last) - np.maximum(pixels, first)
    limited: npt.NDArray[np.float32] = shares.clip(0, 1).astype(np.float32)
    return limited


def _of_polygon(outline: Outline, height: int, width: int) -> UInt8Array:
    corners = np.array(outline.points, np.float64).reshape(-1, 2) * np.array([width, height])
    share = _drawn(corners, height, width).copy()
    # Samples are needed only where a side runs through.
    tiles = edge_tiles(share, reach_pixels=1)
    side = TILE_PIXELS * _SAMPLES
    drawings = [
        Image.fromarray(_drawn((corners - at) * _SAMPLES, side, side)).reduce(_SAMPLES)
        for at in np.stack(tiles.at[::-1], axis=1) * TILE_PIXELS
    ]
    if drawings:
        tiles.put(share, np.stack(list(map(np.asarray, drawings))))
    return share


def _drawn(corners: npt.NDArray[np.float64], height: int, width: int) -> UInt8Array:
    """[H,W]: 255 where a pixel is in, else 0."""
    drawing = Image.new("L", (width, height))
    # Pillow draws from whole pixel to whole pixel; what it cuts off must not depend on the tile.
    places = [(x, y) for x, y in np.floor(corners - 0.5).tolist()]
    ImageDraw.Draw(drawing).polygon(places, fill=255)
    inside: UInt8Array = np.asarray(drawing)
    return inside
