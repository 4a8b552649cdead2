"""Those tiles of a picture that an edge runs through: the rest, most of it, stays as it is."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rvm_client.pixels import UInt8Array
from rvm_client.refine.components import BoolArray, widened

TILE_PIXELS = 32
OPAQUE = 255


@dataclass(frozen=True)
class Tiles:
    """Some of the tiles of 32x32 pixels that a picture has; the last ones may lie half outside."""

    chosen: BoolArray
    """[rows,columns] of all tiles."""

    @cached_property
    def at(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Rows and columns of the chosen ones."""
        rows, columns = np.nonzero(self.chosen)
        return rows, columns

    def those(self, wanted: BoolArray) -> "Tiles":
        """Some of these: [N], in the order of `at`."""
        chosen = self.chosen.copy()
        chosen[self.at] = wanted
        return Tiles(chosen)

    @property
    def and_those_beside(self) -> "Tiles":
        """These and the eight around each."""
        return Tiles(widened(self.chosen))

    def taken(self, plane: UInt8Array, margin: int = 0, scale: int = 1) -> UInt8Array:
        """Copies of the tiles, [N,S,S] or [N,S,S,3], with what lies around them; beyond the border
        of the picture its outermost pixels go on.

        Args:
            plane: [H,W] or [H,W,3], or a plane whose pixels are `scale` times as large.
            margin: pixels of the plane around each tile.
            scale: of the plane.
        """
        size = TILE_PIXELS // scale
        (height, width, *components), side = plane.shape, size + 2 * margin
        found = np.empty((len(self.at[0]), side, side, *components), np.uint8)
        # Slices, one by one: an index of all pixels takes several times as long.
        for tile, row, column in zip(found, *(at * size - margin for at in self.at), strict=True):
            if row >= 0 and column >= 0 and row + side <= height and column + side <= width:
                tile[...] = plane[row : row + side, column : column + side]
            else:
                rows = np.arange(row, row + side).clip(0, height - 1)
                columns = np.arange(column, column + side).clip(0, width - 1)
                tile[...] = plane[rows[:, np.newaxis], columns]
        return found

    def put(self, plane: UInt8Array, tiles: UInt8Array, scale: int = 1) -> None:
        """Write tiles [N,S,S] into a plane, or [N,S,S,3] into a picture."""
        size = TILE_PIXELS // scale
        for tile, row, column in zip(tiles, *self.at, strict=True):
            place = plane[row * size : (row + 1) * size, column * size : (column + 1) * size]
            place[...] = tile[: place.shape[0], : place.shape[1]]


def edge_tiles(pha: UInt8Array, reach_pixels: int) -> Tiles:
    """The tiles within reach of an edge: all but those that are clear, or opaque, all around.

    Args:
        pha: [H,W] alpha.
        reach_pixels: so far around an edge lie the tiles; at most 32.
    """
    shows, lets_through = _per_tile(pha, np.maximum) > 0, _per_tile(pha, np.minimum) < OPAQUE
    if reach_pixels:
        shows, lets_through = widened(shows), widened(lets_through)
    return Tiles(shows & lets_through)


def _per_tile(pha: UInt8Array, extreme: np.ufunc) -> UInt8Array:
    tops, lefts = (range(0, count, TILE_PIXELS) for count in pha.shape)
    bands = np.stack([extreme.reduce(pha[top : top + TILE_PIXELS], axis=0) for top in tops])
    found: UInt8Array = extreme.reduceat(bands, lefts, axis=1)
    return found
