"""Connected parts of a coarse picture, and labels that spread over it.

The pictures here are grids of cells, some ten thousand of them, so that runs of cells and NumPy are
as fast as a library made for whole pictures, and nothing more has to be installed.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Cell = TypeVar("Cell", bound=np.generic)
BoolArray = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
"""[H,W]: 0 where there is nothing, else the number of what is there."""


def labelled(mask: BoolArray) -> tuple[Labels, int]:
    """The connected parts of [H,W], corners count as contact: 1 to N in reading order, and N.

    Runs of each row are joined with those that touch them in the next row, as Rosenfeld and Pfaltz
    do it with pixels (Sequential Operations in Digital Picture Processing, 1966).
    """
    height, width = mask.shape
    # Two columns apart, so that no run touches the end of the row before.
    stride = width + 2
    grown = np.zeros((height, stride), np.int8)
    grown[:, 1:-1] = mask
    steps = np.diff(grown.ravel(), prepend=np.int8(0))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    numbers = _numbered(_roots(len(starts), *_contacts(starts, ends, stride)))
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.repeat(numbers, ends - starts)
    return labels, int(numbers.max(initial=0))


def spread(seeds: Labels, into: BoolArray) -> Labels:
    """Each cell of `into` gets the label of the nearest seed, on ways within `into` and the seeds.

    Where several are as near, the highest label comes first. What no way leads to stays 0.
    """
    labels = seeds.copy()
    while True:
        grown = np.where(into & (labels == 0), _highest_around(labels), labels)
        if np.array_equal(grown, labels):
            return labels
        labels = grown


def widened(mask: BoolArray) -> BoolArray:
    """The cells of [H,W] that are True, and the eight around each."""
    return _highest_around(mask)


def _contacts(
    starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp], stride: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Pairs of runs that touch: above and below."""
    first = np.searchsorted(ends, starts + stride)
    counts = np.searchsorted(starts, ends + stride, "right") - first
    above = np.repeat(np.arange(len(starts)), counts)
    begins = np.cumsum(counts) - counts
    below = np.arange(len(above)) - begins[above] + first[above]
    return above, below


def _roots(
    count: int, above: npt.NDArray[np.intp], below: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """For each run the first run of its part: the least number wanders along the pairs."""
    roots = np.arange(count)
    while (roots[above] != roots[below]).any():
        least = np.minimum(roots[above], roots[below])
        for runs in (roots[above], roots[below]):
            np.minimum.at(roots, runs, least)
        while (roots[roots] != roots).any():
            roots = roots[roots]
    return roots


def _numbered(roots: npt.NDArray[np.intp]) -> Labels:
    _, numbers = np.unique(roots, return_inverse=True)
    return numbers.astype(np.int32) + 1


def _highest_around(cells: npt.NDArray[Cell]) -> npt.NDArray[Cell]:
    """The highest of the nine cells around and at each of [H,W]."""
    grown = np.pad(cells, 1)
    rows = np.maximum(np.maximum(grown[:-2], grown[1:-1]), grown[2:])
    highest: npt.NDArray[Cell] = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return highest
