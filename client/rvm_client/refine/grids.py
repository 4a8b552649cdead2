"""Colours of a picture in coarse cells: gathered where they are known, filled where not, read again
at pixels.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rvm_client.pixels import UInt8Array

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.intp]
Extreme: TypeAlias = np.ufunc
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

    def over(self, cells: UInt8Array) -> UInt8Array:
        """Each pixel's cell of [rows,columns], [H,W]."""
        side = self.cell_pixels
        wide = cells.repeat(side, axis=1)[:, : self.width_pixels]
        return wide.repeat(side, axis=0)[: self.height_pixels]

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

    def ranges(self, picture: UInt8Array, cells: BoolArray) -> tuple[UInt8Array, UInt8Array]:
        """The least and the largest level of each channel in M cells, two [M,3].

        Args:
            picture: [H,W,3].
            cells: [rows,columns], True for M of them.
        """
        rows, columns = np.nonzero(cells)
        offsets = np.arange(self.cell_pixels)
        y = (rows[:, np.newaxis] * self.cell_pixels + offsets).clip(0, self.height_pixels - 1)
        x = (columns[:, np.newaxis] * self.cell_pixels + offsets).clip(0, self.width_pixels - 1)
        blocks = picture[y[:, :, np.newaxis], x[:, np.newaxis]]
        return blocks.min(axis=(1, 2)), blocks.max(axis=(1, 2))

    def patch(self, cells: BoolArray) -> "Patch":
        """The pixels of the cells [rows,columns] that are True."""
        side = self.cell_pixels
        rows, columns = np.nonzero(cells)
        shape = len(rows), side, side
        offsets = np.arange(side)
        y = np.broadcast_to((rows[:, np.newaxis] * side + offsets)[:, :, np.newaxis], shape).ravel()
        x = np.broadcast_to((columns[:, np.newaxis] * side + offsets)[:, np.newaxis], shape).ravel()
        is_there = (y < self.height_pixels) & (x < self.width_pixels)
        return Patch(side, rows, columns, y[is_there], x[is_there], is_there)


@dataclass(frozen=True)
class Patch:
    """N pixels: those of M cells, cell by cell."""

    side: int
    """Of a cell, in pixels."""
    rows: IndexArray
    """[M], of the cells."""
    columns: IndexArray
    y: IndexArray
    """[N], of the pixels."""
    x: IndexArray
    is_there: BoolArray
    """Of M whole cells, which pixels are in the picture."""

    def read(self, values: FloatArray) -> FloatArray:
        """Values of cells, [rows,columns,K], at each pixel, [K,N]: bilinear."""
        bordered = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
        around = [
            bordered[self.rows + down, self.columns + across]
            for down in range(3)
            for across in range(3)
        ]
        one = self._weights()
        weights = np.einsum("ya,xb->abyx", one, one).reshape(9, -1)
        # One product of matrices: [K,M,9] by [9,side * side].
        read: FloatArray = np.stack(around).transpose(2, 1, 0) @ weights
        whole = read.reshape(values.shape[2], -1)
        return whole if self.is_there.all() else whole[:, self.is_there]

    def _weights(self) -> FloatArray:
        """[side,3]: how much of the cell before, of its own and of the next a pixel gets."""
        place = (np.arange(self.side, dtype=np.float32) + 0.5) / self.side - 0.5
        before, after = np.maximum(-place, 0), np.maximum(place, 0)
        weights: FloatArray = np.stack([before, 1 - before - after, after], axis=-1)
        return weights.astype(np.float32)


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
    coarse = smoothed(_pulled(halved).repeat(2, axis=0).repeat(2, axis=1)[:height, :width])
    return np.where(weight > 0, colours, coarse)
