"""People who touch each other told apart: by where each was, how it moves, and how it looked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from rvm_client.refine.cells import FloatArray
from rvm_client.refine.components import BoolArray, Labels, spread

Cell = TypeVar("Cell", bound=np.generic)

# Cells that somebody may move between two frames: at 1080p and 30 frames a second, 24 pixels of a
# frame's 1920 each are a fast run past the camera.
_REACH_CELLS = 3
# Levels that each cell of a move costs: where there is no texture, nothing moves.
_COST_OF_A_CELL = 0.5
# Cells around one that say whose it is.
_PATCH_RADIUS_CELLS = 2
# Cells of somebody, at most, that are looked for when a move is.
_PROBES = 500


# Colours by which somebody is known: so many levels of each component.
_BIN_LEVELS = 6
# A share of cells that nothing falls below, and how much likelier, as a logarithm, is sure.
_LEAST_LIKELY = 0.002
_SURE = 1.5


class Person(Protocol):
    """Somebody who touches others."""

    drift: FloatArray
    """What its moves so far lack to whole cells, [down, right]."""

    @property
    def looks(self) -> FloatArray:
        """See `looks_of`."""


@dataclass(frozen=True)
class Frame:
    """A frame that people are looked for in."""

    colours: FloatArray
    """[h,w,3]."""
    labels: Labels
    """[h,w]: who is where; of the frame in question only once that is known."""


def bins_of(colours: FloatArray) -> npt.NDArray[np.intp]:
    """The bins of colours [...,3] of 0 to 255, [...]."""
    levels = (colours * (_BIN_LEVELS / 256)).astype(np.intp)
    bins: npt.NDArray[np.intp] = levels @ np.array([_BIN_LEVELS**2, _BIN_LEVELS, 1])
    return bins


def looks_of(colours: FloatArray) -> FloatArray:
    """The shares of all bins in colours [N,3]; each colour counts in neighbouring bins, too."""
    counts = np.bincount(bins_of(colours), minlength=_BIN_LEVELS**3)
    looks = counts.reshape((_BIN_LEVELS,) * 3).astype(np.float32) / max(1, len(colours))
    for axis in range(3):
        grown = np.pad(looks, [(int(a == axis),) * 2 for a in range(3)])
        first, last = np.take(grown, range(_BIN_LEVELS), axis), np.roll(grown, -2, axis)
        last = np.take(last, range(_BIN_LEVELS), axis)
        looks = looks / 2 + (first + last) / 4
    return looks.ravel()


def split(
    inside: BoolArray, before: Frame, now: FloatArray, people: Mapping[int, Person]
) -> tuple[Labels, dict[int, FloatArray]]:
    """Who is where in one part that several people have become.

    A cell is whose colours it has, where they are much rather one's than another's. Else, each
    one's cells of the frame before are moved as their colours have moved; where two claim a cell,
    it is the one whose colours are found there, who stands in front. What is left goes to the
    nearest, and where two are as near, to whoever comes last in `people`.

    Args:
        inside: [h,w] the part.
        before: the frame before.
        now: [h,w,3] colours of this frame.
        people: by their labels.

    Returns:
        Labels, 0 outside of the part, and the drifts from now on.
    """
    ranks = np.zeros(inside.shape, np.int32)
    least = np.full(inside.shape, np.inf, np.float32)
    drifts = {}
    for rank, (label, person) in enumerate(people.items(), 1):
        mask = before.labels == label
        move = _move(mask, before.colours, now) + person.drift
        whole = np.rint(move).astype(np.int64)
        drifts[label] = move - whole.astype(np.float32)
        differs = _blurred(np.abs(now - _shifted(before.colours, whole)).sum(axis=-1))
        wins = _shifted(mask, whole) & inside & (differs <= least)
        ranks[wins], least[wins] = rank, differs[wins]
    _by_looks(ranks, inside, now, [person.looks for person in people.values()])
    by_rank = np.array([0, *people], np.int32)
    return by_rank[spread(ranks, inside)], drifts


def _by_looks(
    ranks: Labels, inside: BoolArray, now: FloatArray, looks: Sequence[FloatArray]
) -> None:
    """Give cells, in place, to whom their colours tell them to be of."""
    bins = bins_of(now)
    likely = np.stack([_blurred(np.log(one + _LEAST_LIKELY)[bins]) for one in looks])
    in_order = np.sort(likely, axis=0)
    sure = inside & (in_order[-1] - in_order[-2] > _SURE)
    ranks[sure] = likely.argmax(axis=0)[sure] + 1


def _move(mask: BoolArray, before: FloatArray, now: FloatArray) -> FloatArray:
    """Down and right, in cells, by which the colours of `mask` have moved: the best of all moves
    within reach, and between cells the foot of a parabola."""
    rows, columns = np.nonzero(mask)
    step = -(-len(rows) // _PROBES)
    rows, columns = rows[::step], columns[::step]
    height, width = mask.shape
    reach = np.arange(-_REACH_CELLS, _REACH_CELLS + 1)
    found = now[
        (rows + reach[:, np.newaxis, np.newaxis]).clip(0, height - 1),
        (columns + reach[:, np.newaxis]).clip(0, width - 1),
    ]
    costs = np.abs(found - before[rows, columns]).sum(axis=-1).mean(axis=-1)
    costs += _COST_OF_A_CELL * np.hypot(reach[:, np.newaxis], reach)
    i, j = np.unravel_index(costs.argmin(), costs.shape)
    return np.array([reach[i] + _least(costs[:, j], i), reach[j] + _least(costs[i], j)], np.float32)


def _least(costs: FloatArray, at: np.intp) -> float:
    """Where between its neighbours the parabola through the least cost has its foot."""
    if not 0 < at < len(costs) - 1:
        return 0.0
    left, middle, right = costs[at - 1 : at + 2]
    bend = left - 2 * middle + right
    return float((left - right) / (2 * bend)) if bend > 0 else 0.0


def _shifted(cells: npt.NDArray[Cell], move: npt.NDArray[np.int64]) -> npt.NDArray[Cell]:
    """[h,w,...] moved down and right; what comes in from outside is the border's."""
    height, width = cells.shape[:2]
    rows = (np.arange(height) - move[0]).clip(0, height - 1)
    columns = (np.arange(width) - move[1]).clip(0, width - 1)
    moved: npt.NDArray[Cell] = cells[rows[:, np.newaxis], columns]
    return moved


def _blurred(cells: FloatArray) -> FloatArray:
    """The mean over each cell's patch."""
    radius = _PATCH_RADIUS_CELLS
    width = 2 * radius + 1
    sums = np.pad(cells, ((radius + 1, radius), (0, 0)), mode="edge").cumsum(axis=0)
    rows = sums[width:] - sums[:-width]
    sums = np.pad(rows, ((0, 0), (radius + 1, radius)), mode="edge").cumsum(axis=1)
    mean: FloatArray = (sums[:, width:] - sums[:, :-width]) / width**2
    return mean
