"""The person's own colour beside and beyond the edge: that of the unmixed pixels nearby.

It is found in cells of 8x8 pixels, the empty ones of which get what is nearest, coarser and
coarser, by push and pull (Gortler et al., The Lumigraph, 1996), and is drawn smoothly between
their centres.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rvm_client.pixels import UInt8Array
from rvm_client.refine.tiles import TILE_PIXELS, Tiles

FloatArray = npt.NDArray[np.float32]

_CELL_PIXELS = 8
_STEP_PIXELS = 2
_CELLS = TILE_PIXELS // _CELL_PIXELS


def own_colours(
    components: Sequence[UInt8Array], tiles: Tiles, around: Tiles, unmixed: FloatArray
) -> list[FloatArray]:
    """The person's colour in all pixels of some tiles, [N,S,S] for each component.

    Args:
        components: of the picture in `around`, each [M,S,S].
        tiles: where the colour is wanted.
        around: where it is looked for.
        unmixed: [M,S,S] of `around`: 1 where a pixel has it, else 0; somewhere it is 1.
    """
    rows, columns = around.chosen.shape
    cells = np.zeros((rows, _CELLS, columns, _CELLS, len(components) + 1), np.float32)
    by_tile = cells.swapaxes(1, 2)
    # A quarter of the pixels is as good a mean; planes of half the size have no more.
    size = unmixed.shape[1]
    step = size * _STEP_PIXELS // TILE_PIXELS
    weights = unmixed[:, ::step, ::step]
    for index, component in enumerate(components):
        by_tile[(*around.at, ..., index)] = _summed(component[:, ::step, ::step] * weights)
    by_tile[(*around.at, ..., -1)] = _summed(weights)
    colours = _filled(cells.reshape(rows * _CELLS, columns * _CELLS, -1))
    grown = np.pad(colours, ((1, 1), (1, 1), (0, 0)), mode="edge")
    near = np.arange(_CELLS + 2)
    down, right = (at[:, np.newaxis] * _CELLS + near for at in tiles.at)
    cells_near = grown[down[:, :, np.newaxis], right[:, np.newaxis, :]]
    shares = _shares(size)
    by_plane = np.ascontiguousarray(np.moveaxis(cells_near, -1, 0))
    return [shares @ cells_of_plane @ shares.T for cells_of_plane in by_plane]


def _summed(tiles: FloatArray) -> FloatArray:
    """Sums over the cells of each tile: [N,S,S] to [N,4,4]."""
    count, size, _ = tiles.shape
    cells = tiles.reshape(count, _CELLS, size // _CELLS, _CELLS, size // _CELLS)
    sums: FloatArray = np.einsum("nyixj->nyx", cells)
    return sums


def _filled(sums: FloatArray) -> FloatArray:
    """Colours of all cells [h,w,C], of sums of colours and, last, of weights."""
    height, width = sums.shape[:2]
    if height == 1 and width == 1:
        coarser = sums
    else:
        even = np.pad(sums, ((0, height % 2), (0, width % 2), (0, 0)))
        rows = even[::2] + even[1::2]
        halves = _filled(rows[:, ::2] + rows[:, 1::2])
        coarser = halves.repeat(2, axis=0)[:height].repeat(2, axis=1)[:, :width]
    weights = sums[..., -1:]
    found = sums[..., :-1] / np.maximum(weights, 1)
    filled: FloatArray = np.where(weights > 0, found, coarser[..., : found.shape[-1]])
    return filled


def _shares(pixels: int) -> FloatArray:
    """[S,6]: of the cells of a tile and one on each side, in the colour of each pixel."""
    places = (np.arange(pixels) + 0.5) * _CELLS / pixels + 0.5
    distances = np.abs(places[:, np.newaxis] - np.arange(_CELLS + 2))
    shares: FloatArray = np.maximum(0, 1 - distances).astype(np.float32)
    return shares
