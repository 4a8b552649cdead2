"""Colours of a picture in coarse cells: gathered where they are known, filled where not, read again
at pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rvm_client.pixels import UInt8Array

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.intp]
Extreme = Callable[..., Any]
"""`np.maximum` or `np.minimum`."""


@dataclass(frozen=True)
class Grid:
    """Square cells over a picture of H x W pixels; those of the last row and column may be cut."""

    height_pixels: int
    width_pixels: int
    cell_pixels: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return -(-self.height_pixels // self.cell_pixels), -(-self.width_pixels // self.cell_pixels)

    def extreme(self, alpha: UInt8Array, extreme: Extreme) -> UInt8Array:
        """The largest or smallest alpha of each cell, [rows,columns]."""
        rows, columns = (
            np.arange(0, pixels, self.cell_pixels)
            for pixels in (self.height_pixels, self.width_pixels)
        )
        found: UInt8Array = extreme.reduceat(extreme.reduceat(alpha, rows, 0), columns, 1)
        return found

    def pixels_of(self, cells: BoolArray) -> tuple[IndexArray, IndexArray]:
        """Rows and columns of all pixels of the cells [rows,columns] that are True."""
        side = self.cell_pixels
        tall = cells.repeat(side, axis=0)[: self.height_pixels]
        return np.nonzero(tall.repeat(side, axis=1)[:, : self.width_pixels])

    def filled(self, colours: FloatArray, known: BoolArray, step: int) -> FloatArray:
        """The mean of known colours in each cell, [rows,columns,3]; of the nearest where there is
        none.

        Args:
            colours: [h,w,3], every `step`-th pixel of the picture.
            known: [h,w], at least one True.
            step: pixels from one of these to the next.
        """
        rows, columns = self.shape
        y, x = (np.arange(count) * step // self.cell_pixels for count in known.shape)
        cells = (y[:, np.newaxis] * columns + x)[known]
        sums = np.empty((rows * columns, 4), np.float32)
        for channel, values in enumerate(colours[known].T):
            sums[:, channel] = np.bincount(cells, values, rows * columns)
        sums[:, 3] = np.bincount(cells, minlength=rows * columns)
        return smoothed(_pulled(sums.reshape(rows, columns, 4)))

    def at(self, values: FloatArray, y: IndexArray, x: IndexArray) -> FloatArray:
        """Values of cells, [rows,columns] or [rows,columns,3], at pixels: bilinear."""
        top, bottom, down = self._between(y, values.shape[0])
        left, right, across = self._between(x, values.shape[1])
        if values.ndim > 2:
            down, across = down[:, np.newaxis], across[:, np.newaxis]
        upper = values[top, left] + across * (values[top, right] - values[top, left])
        lower = values[bottom, left] + across * (values[bottom, right] - values[bottom, left])
        found: FloatArray = upper + down * (lower - upper)
        return found

    def _between(self, pixels: IndexArray, count: int) -> tuple[IndexArray, IndexArray, FloatArray]:
        """The two cells whose middles are beside each pixel, and how far it is to the second."""
        half = np.float32(0.5)
        place = ((pixels + half) / np.float32(self.cell_pixels) - half).clip(0, count - 1)
        first = place.astype(np.intp)
        return first, np.minimum(first + 1, count - 1), (place - first).astype(np.float32)


def spread(cells: UInt8Array, reach: int, extreme: Extreme) -> UInt8Array:
    """The largest or smallest within `reach` cells to each side, [rows,columns]."""
    for axis in range(2):
        widths = [(reach, reach) if axis == each else (0, 0) for each in range(2)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(cells, widths, mode="edge"), 2 * reach + 1, axis
        )
        cells = extreme.reduce(windows, axis=-1)
    return cells


def smoothed(cells: FloatArray) -> FloatArray:
    """The mean of each cell and those beside it, [rows,columns] or [rows,columns,3]."""
    for axis in range(2):
        widths = [(1, 1) if axis == each else (0, 0) for each in range(cells.ndim)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(cells, widths, mode="edge"), 3, axis
        )
        cells = windows.mean(axis=-1, dtype=np.float32)
    return cells


def _pulled(sums: FloatArray) -> FloatArray:
    """Colours [h,w,3] of sums [h,w,4]; where none is known, those of a grid of half the size."""
    weight = sums[..., 3:]
    colours: FloatArray = sums[..., :3] / np.maximum(weight, 1)
    if weight.all() or weight.shape[:2] == (1, 1):
        return colours
    height, width = weight.shape[:2]
    even = np.pad(sums, ((0, height % 2), (0, width % 2), (0, 0)))
    halved = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 4).sum(axis=(1, 3))
    coarse = _pulled(halved).repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(weight > 0, colours, coarse)
