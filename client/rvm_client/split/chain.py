"""Which segments of a video are right.

All are made at once: each makes its state up from the frames before it. Its first frames are
then compared with what the segment before it saw behind its own end. Where they differ, it is
made again, from the state in which that one ended. Right is the first, and each that fits it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rvm_client.errors import JoinError
from rvm_client.pipeline import Alphas, SegmentMade, edges_path, load_segment
from rvm_client.pixels import UInt8Array
from rvm_client.split.plan import SplitPlan

# Of each frame that is compared.
LARGEST_MEAN_DIFFERENCE = 255 / 1000
LARGEST_SHARE_APART = 0.005
_APART_LEVELS = 8


@dataclass(frozen=True)
class Task:
    """A segment that is to be made."""

    number: int
    continues: Path | None = None
    """The segment whose last state it starts from; None: it makes its own up."""


class Chain:
    """The segments of one video, in a folder.

    Args:
        plan: where they begin and end.
        folder: has what was made of them before, too.
    """

    def __init__(self, plan: SplitPlan, folder: Path) -> None:
        self.plan = plan
        self._folder = folder
        self._is_made = [edges_path(self.path(n)).exists() for n in range(plan.segments)]
        self._times_made = [0] * plan.segments
        self._continues: dict[int, int] = {}
        """Of a segment that began from the state of the one before it: how often that was made."""
        self._compared: dict[tuple[int, int, int], bool] = {}
        self._right = 0
        """So many, from the first on, are known to be right."""
        self._made_early = set[int]()
        """Were made again before the one before them was known to be right."""
        self.made_again = 0

    @property
    def is_complete(self) -> bool:
        """All are made and right."""
        return self._right == self.plan.segments

    @property
    def paths(self) -> list[Path]:
        """All segments, in order."""
        return [self.path(number) for number in range(self.plan.segments)]

    def path(self, number: int) -> Path:
        """The target of a segment."""
        return self._folder / f"{number:05d}.part"

    def begin(self) -> list[Task]:
        """What can be made now."""
        missing = [Task(number) for number, made in enumerate(self._is_made) if not made]
        return missing + self._settle()

    def made(self, number: int) -> list[Task]:
        """Note that a segment was made; what is to be made besides.

        Raises:
            JoinError: two of them do not agree on the times of the frames between them.
        """
        self._is_made[number] = True
        self._times_made[number] += 1
        return self._settle()

    def _settle(self) -> list[Task]:
        """Compare what has been made; those that do not fit are made again.

        A segment may fail the comparison with one that turns out wrong itself. So it is made again
        once without waiting for that, and from then on when the one before it is right.
        """
        tasks = []
        is_in_order = True
        for number in range(self._right, self.plan.segments):
            if not self._is_made[number] or not self._is_made[max(0, number - 1)]:
                is_in_order = False
            elif not number or self._fits(number):
                self._right += is_in_order
            else:
                if is_in_order or number not in self._made_early:
                    tasks.append(self._again(number))
                is_in_order = False
        return tasks

    def _again(self, number: int) -> Task:
        self._is_made[number] = False
        self._made_early.add(number)
        self._continues[number] = self._times_made[number - 1]
        self.made_again += 1
        return Task(number, self.path(number - 1))

    def _fits(self, number: int) -> bool:
        """Whether it goes on as the one before it, as both are now."""
        before = self._times_made[number - 1]
        if self._continues.get(number) == before:
            return True
        which = (number, before, self._times_made[number])
        if which not in self._compared:
            self._compared[which] = self._compare(number)
        return self._compared[which]

    def _compare(self, number: int) -> bool:
        made = load_segment(self.path(number))
        before = load_segment(self.path(number - 1))
        _check_times(before, made)
        return made.starts_at_cut or are_alike(before.after, made.head)


def are_alike(a: Alphas, b: Alphas) -> bool:
    """Whether the alphas of the same frames are within the tolerance, each of them.

    Their mean difference is at most 1/1000 of the full range, and at most 0.5 % of the pixels
    differ by more than 8 levels. Where there is nothing to compare, they are not.
    """
    pairs = list(zip(a.pha, b.pha, strict=False))
    return bool(pairs) and all(_is_alike(one, other) for one, other in pairs)


def _is_alike(one: UInt8Array, other: UInt8Array) -> bool:
    apart = np.abs(one.astype(np.int16) - other)
    return bool(
        apart.mean() <= LARGEST_MEAN_DIFFERENCE
        and (apart > _APART_LEVELS).mean() <= LARGEST_SHARE_APART
    )


def _check_times(before: SegmentMade, made: SegmentMade) -> None:
    count = min(len(before.after.pts), len(made.head.pts))
    if not count or before.after.pts[:count] != made.head.pts[:count]:
        raise JoinError("its times cannot be found again from the middle of the file")
