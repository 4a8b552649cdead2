"""The largest connected component of a mask, by runs of its rows."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def largest_component(mask: Mask) -> Mask:
    """The largest set of pixels of `mask` [H,W] that touch by their sides; the first of equals.

    Pixels of one row that follow each other are one run, so that there is little to join.
    """
    rows, starts, ends = _runs(mask)
    if not len(rows):
        return np.zeros_like(mask)
    roots = _joined(len(rows), *_touching(rows, starts, ends))
    pixels = np.bincount(roots, weights=ends - starts, minlength=len(rows))
    in_largest = roots == int(np.argmax(pixels))
    return _painted(mask.shape, rows[in_largest], starts[in_largest], ends[in_largest])


def _runs(mask: Mask) -> tuple[IntArray, IntArray, IntArray]:
    """Row, first column and column behind the last of each run, from top left to bottom right."""
    bordered = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    steps = np.diff(bordered, axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return rows, starts, ends


def _touching(rows: IntArray, starts: IntArray, ends: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs of runs that lie above each other: the upper, the lower."""
    # On one line of numbers, each row to the right of the one before: there runs are in order.
    width = int(ends.max()) + 1
    above = (rows - 1) * width
    first = np.searchsorted(rows * width + ends, above + starts, side="right")
    behind = np.searchsorted(rows * width + starts, above + ends, side="left")
    counts = np.maximum(behind - first, 0)
    lower = np.repeat(np.arange(len(rows)), counts)
    nth = np.arange(len(lower)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(first, counts) + nth, lower


def _joined(count: int, upper: IntArray, lower: IntArray) -> IntArray:
    """The lowest number that each of `count` runs can be reached from."""
    roots = np.arange(count)
    while True:
        lowest = np.minimum(roots[upper], roots[lower])
        joined = roots.copy()
        for side in (upper, lower):
            np.minimum.at(joined, side, lowest)
            np.minimum.at(joined, roots[side], lowest)
        joined = joined[joined]
        if np.array_equal(joined, roots):
            return roots
        roots = joined


def _painted(shape: tuple[int, ...], rows: IntArray, starts: IntArray, ends: IntArray) -> Mask:
    steps = np.zeros((shape[0], shape[1] + 1), np.int8)
    steps[rows, starts] = 1
    # A run may end where the next begins only with a gap between, so nothing is overwritten.
    steps[rows, ends] = -1
    return np.asarray(np.cumsum(steps, axis=1)[:, :-1] > 0)
