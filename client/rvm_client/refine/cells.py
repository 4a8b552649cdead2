"""Pictures in cells: so few numbers that people can be followed in them at little cost."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from rvm_client.pixels import PixelLayout, UInt8Array

FloatArray = npt.NDArray[np.float32]

# Of the shorter side of a picture. At 1080p a cell has 8x8 pixels: about an arm's width.
_SHORT_SIDE_CELLS = 128
# Pixels of a cell that its colour is taken from, across and down.
_TAPS = 4


@dataclass(frozen=True)
class Cells:
    """One frame in cells."""

    alpha: UInt8Array
    """[h,w]: the mean alpha of each cell."""
    sample: Callable[[], FloatArray]

    @cached_property
    def colours(self) -> FloatArray:
        """[h,w,3]: a few pixels' mean colour of each cell; for as long as the frame is valid,
        unless it was asked for before."""
        return self.sample()


def cell_pixels(height_pixels: int, width_pixels: int) -> int:
    """The side of a cell."""
    return max(2, round(min(height_pixels, width_pixels) / _SHORT_SIDE_CELLS))


def cells_of(fgr: UInt8Array, pha: UInt8Array, layout: PixelLayout) -> Cells:
    """The cells of one frame.

    Args:
        fgr: foreground colour, [H,W,3] or [H*3/2,W] as the layout says.
        pha: [H,W] alpha.
        layout: how `fgr` lies.
    """
    size = cell_pixels(*pha.shape)
    alpha = np.asarray(Image.fromarray(pha).reduce(size))

    def sample() -> FloatArray:
        rows, columns = (_taps(count, size) for count in pha.shape)
        colours = layout.rgb_at(fgr, rows.ravel(), columns.ravel()).astype(np.float32)
        shape = (len(rows), rows.shape[1], len(columns), columns.shape[1], 3)
        mean: FloatArray = colours.reshape(shape).mean(axis=(1, 3))
        return mean

    return Cells(alpha, sample)


def _taps(count: int, size: int) -> npt.NDArray[np.intp]:
    """Some pixels of each cell along one side, [cells,taps]."""
    taps = min(_TAPS, size)
    begins = np.arange(0, count, size)
    offsets = (np.arange(taps) * 2 + 1) * size // (2 * taps)
    pixels: npt.NDArray[np.intp] = np.minimum(begins[:, np.newaxis] + offsets, count - 1)
    return pixels
