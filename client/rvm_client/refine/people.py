"""The people of a scene, and the parts of a frame that they may be."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rvm_client.refine.cells import Cells, FloatArray
from rvm_client.refine.components import Labels, labelled
from rvm_client.refine.touching import looks_of

# Cells of the smallest part that counts.
LEAST_CELLS = 6
# What connects something small that is new to somebody: fainter than what makes a part.
_SOFT_LEVEL = 32


@dataclass
class Person:
    """Somebody, or something, that was seen in a scene."""

    label: int
    size: float
    """Cells, smoothed over time."""
    born_seconds: float
    cells: int = 0
    """In the last frame; 0 where it was not seen."""
    looks: FloatArray = field(default_factory=lambda: looks_of(np.empty((0, 3), np.float32)))
    """While it was seen alone; see `looks_of`."""
    is_alone: bool = True
    """It touches nobody in this frame."""
    hidden_by: int = 0
    """Behind whom it went out of sight; 0: it did not."""
    apart_since_seconds: float | None = None
    """It has been in two large parts since."""
    drift: FloatArray = field(default_factory=lambda: np.zeros(2, np.float32))
    """Of its moves while it touches somebody: see `split`."""


@dataclass(frozen=True)
class Parts:
    """The connected parts of one frame."""

    core: Labels
    """[h,w]: 1 to N."""
    areas: list[int]
    """Cells of each; those outside first."""
    cells: Cells

    @cached_property
    def soft(self) -> Labels:
        """[h,w]: the parts that are connected by fainter alpha, too; numbers of their own."""
        return labelled(self.cells.alpha >= _SOFT_LEVEL)[0]

    def looks(self, part: int) -> FloatArray:
        """See `looks_of`."""
        return looks_of(self.cells.colours[self.core == part])

    def large(self) -> list[int]:
        """Those that count, the largest first."""
        counting = [p for p in range(1, len(self.areas)) if self.areas[p] >= LEAST_CELLS]
        return sorted(counting, key=lambda part: self.areas[part], reverse=True)


def part_of(other: Person, person: Person, main: int, second: int, parts: Parts) -> int:
    """Which of two parts is that of `other` who was hidden, by the colours of both."""
    looks = {part: parts.looks(part) for part in (main, second)}
    straight = in_common(looks[main], person.looks) + in_common(looks[second], other.looks)
    crossed = in_common(looks[second], person.looks) + in_common(looks[main], other.looks)
    return second if straight >= crossed else main


def in_common(looks: FloatArray, others: FloatArray) -> float:
    """0 to 1 (Swain and Ballard, Color Indexing, 1991)."""
    return float(np.minimum(looks, others).sum())
