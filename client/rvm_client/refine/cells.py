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
_TAPS = 2


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
        mean = np.zeros((*alpha.shape, 3), np.float32)
        for rows in _taps(pha.shape[0], size):
            for columns in _taps(pha.shape[1], size):
                mean += layout.rgb_at(fgr, rows, columns)
        mean /= _TAPS**2
        return mean

    return Cells(alpha, sample)


def _taps(count: int, size: int) -> list[npt.NDArray[np.intp]]:
    """Some pixels of each cell along one side: those of all cells at once."""
    offsets = [(2 * tap + 1) * size // (2 * _TAPS) for tap in range(_TAPS)]
    return [np.minimum(np.arange(0, count, size) + offset, count - 1) for offset in offsets]
