"""The blocks of a picture by its alpha, and colours that are spread within them.

Blocks of 16x16 pixels are a macroblock of H.264 and ProRes, and a common block of VP9. Colours
are spread at the resolution of 4:2:0 chroma: cells of 2x2 pixels.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rvm_client.pixels import UInt8Array

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]

BLOCK_PIXELS = 16
CELL_PIXELS = 2
BLOCK_CELLS = BLOCK_PIXELS // CELL_PIXELS
_LEVELS = BLOCK_CELLS.bit_length() - 1


@dataclass(frozen=True)
class BlockKinds:
    """Which blocks are what, each [rows, columns]."""

    empty: BoolArray
    """Alpha is 0 everywhere."""
    edge: BoolArray
    """Alpha is 0 in places."""
    ring: BoolArray
    """Empty ones beside others."""
    lending: BoolArray
    """Those whose colour the ring gets: the edge, and other blocks beside empty ones."""

    def ring_colours(self, sums: FloatArray) -> UInt8Array:
        """The colours [N,3] of the ring: the mean of lending blocks beside it.

        Args:
            sums: of the lending blocks, [N,4]: see `spread`.
        """
        everywhere = np.zeros((*self.empty.shape, 4), np.float32)
        everywhere[self.lending] = sums
        return _mean(_around(everywhere)[self.ring])


def kinds_of_blocks(alpha: UInt8Array) -> BlockKinds:
    """By alpha [H,W] of whole blocks."""
    empty, full = _empty_and_full(alpha)
    edge = ~empty & ~full
    return BlockKinds(
        empty=empty,
        edge=edge,
        ring=_beside(~empty) & empty,
        lending=edge | (_beside(empty) & full),
    )


def padded(picture: UInt8Array, block: int = BLOCK_PIXELS) -> UInt8Array:
    """A copy of [H,W,...], grown to whole blocks with zeros."""
    height, width = picture.shape[:2]
    shape = (height + -height % block, width + -width % block, *picture.shape[2:])
    grown: UInt8Array = np.zeros(shape, np.uint8)
    grown[:height, :width] = picture
    return grown


def blocks_of(picture: UInt8Array, block: int = BLOCK_PIXELS) -> UInt8Array:
    """A view of whole blocks: [rows of blocks, columns of blocks, block, block, ...]."""
    height, width = picture.shape[:2]
    shape = (height // block, block, width // block, block, *picture.shape[2:])
    return picture.reshape(shape).swapaxes(1, 2)


def flatten(picture: UInt8Array, empty: BoolArray, level: np.uint8) -> None:
    """Set some of the blocks of a contiguous picture [H,W,...] to one level."""
    rows, columns = empty.shape
    lines = picture.reshape(rows, picture.shape[0] // rows, -1)
    # Masks of whole lines: arithmetic on short runs of bytes takes several times as long.
    kept = np.where(empty, np.uint8(0), np.uint8(255)).repeat(lines.shape[2] // columns, axis=1)
    kept = kept[:, np.newaxis]
    lines &= kept
    lines |= ~kept & level


def spread(cells: FloatArray) -> UInt8Array:
    """Colours for all cells of blocks, by push and pull (Gortler et al., The Lumigraph, 1996).

    Args:
        cells: [N,8,8,4]: the sums of colour times alpha, and of alpha, over each cell. No block
            is without alpha.

    Returns:
        [N,8,8,3]: the mean of each cell, or of what is nearest where its alpha is 0.
    """
    pyramid = [cells]
    for _ in range(_LEVELS):
        pyramid.append(halved_cells(pyramid[-1]))
    coarser = pyramid.pop()
    while pyramid:
        finer = pyramid.pop()
        coarser = np.where(finer[..., 3:] > 0, finer, doubled_cells(coarser))
    return _mean(coarser)


def halved_cells(cells: FloatArray) -> FloatArray:
    """The sums of 2x2 of [N,H,W,...]."""
    rows = cells[:, ::2] + cells[:, 1::2]
    total: FloatArray = rows[:, :, ::2] + rows[:, :, 1::2]
    return total


def doubled_cells(cells: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Each of [N,H,W,...] four times."""
    return cells.repeat(2, axis=1).repeat(2, axis=2)


def _empty_and_full(alpha: UInt8Array) -> tuple[BoolArray, BoolArray]:
    """Blocks where alpha is 0 everywhere, and blocks where it is 0 nowhere."""
    height, width = alpha.shape
    rows = alpha.reshape(height // BLOCK_PIXELS, BLOCK_PIXELS, width)
    columns = (height // BLOCK_PIXELS, width // BLOCK_PIXELS, BLOCK_PIXELS)
    most = rows.max(axis=1).reshape(columns).max(axis=-1)
    least = rows.min(axis=1).reshape(columns).min(axis=-1)
    return most == 0, least > 0


def _beside(mask: BoolArray) -> BoolArray:
    """Cells that have a True one among the nine around and at them."""
    grown = np.pad(mask, 1)
    rows = grown[:-2] | grown[1:-1] | grown[2:]
    beside: BoolArray = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    return beside


def _around(sums: FloatArray) -> FloatArray:
    """The sum of the nine cells around and at each one."""
    grown = np.pad(sums, ((1, 1), (1, 1), (0, 0)))
    rows = grown[:-2] + grown[1:-1] + grown[2:]
    total: FloatArray = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return total


def _mean(sums: FloatArray) -> UInt8Array:
    """Colours of sums [...,4] whose weight is above 0."""
    mean: UInt8Array = np.rint(sums[..., :3] / sums[..., 3:]).astype(np.uint8)
    return mean
