"""Which segments are made again, and when: their files are real, their alphas are numbers."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from rvm_client.errors import JoinError
from rvm_client.pipeline import Alphas, edges_path
from rvm_client.split import Chain, Joint, SplitPlan, Task, are_alike


def plan(segments: int) -> SplitPlan:
    joints = tuple(Joint(100 * n, is_cut=False) for n in range(1, segments))
    return SplitPlan(0, 0, None, 1.0, True, joints)


@dataclass
class Maker:
    """Makes segments whose alpha is their state: right where it is 7."""

    chain: Chain
    guesses: dict[int, int] = field(default_factory=dict)
    """Of segments, what they make up for a state."""
    kept: frozenset[int] = frozenset()
    """Segments at whose end the state does not depend on that at their start."""
    cut: int | None = None
    shift: int = 0
    order: list[Task] = field(default_factory=list)

    def make(self, task: Task) -> list[Task]:
        self.order.append(task)
        number = task.number
        start = self.guesses.get(number, 7)
        if task.continues is not None:
            with np.load(edges_path(task.continues)) as before:
                start = int(before["r1"])
        end = 7 if number in self.kept or number == self.cut else start
        path = self.chain.path(number)
        facts = {
            "head_pts": [100 * number + self.shift * number],
            "after_pts": [100 * number + 100],
            "starts_at_cut": number == self.cut,
            "result": {"frames": 100},
        }
        alphas = {"head": start, "after": end}
        np.savez(
            edges_path(path),
            facts=np.array(json.dumps(facts)),
            **{name: np.full((1, 4, 4), 20 * alpha, np.uint8) for name, alpha in alphas.items()},
            **{f"r{n}": np.array(end) for n in range(1, 5)},
        )
        return self.chain.made(number)


def test_guesses_that_fit_stand(tmp_path: Path) -> None:
    chain = Chain(plan(4), tmp_path)
    maker = Maker(chain)
    assert [task.continues for task in chain.begin()] == [None] * 4
    for number in (3, 1, 0, 2):
        assert not chain.is_complete
        assert maker.make(Task(number)) == []
    assert chain.is_complete
    assert chain.made_again == 0


def test_one_that_does_not_fit_is_made_again_from_the_state_before(tmp_path: Path) -> None:
    chain = Chain(plan(3), tmp_path)
    maker = Maker(chain, guesses={1: 9}, kept=frozenset({1}))
    for number in (0, 2):
        maker.make(Task(number))
    (again,) = maker.make(Task(1))
    assert (again.number, again.continues) == (1, chain.path(0))
    assert maker.make(again) == []
    assert chain.is_complete
    assert chain.made_again == 1


def test_several_are_made_again_side_by_side(tmp_path: Path) -> None:
    """Where wrong guesses are forgotten within a segment, none waits for another."""
    chain = Chain(plan(4), tmp_path)
    maker = Maker(chain, guesses={1: 9, 3: 8}, kept=frozenset({1, 2, 3}))
    found = [task for number in (3, 2, 1, 0) for task in maker.make(Task(number))]
    assert sorted(task.number for task in found) == [1, 3]
    for task in found:
        assert maker.make(task) == []
    assert chain.is_complete
    assert chain.made_again == 2


def test_a_model_that_never_forgets_is_followed_to_the_end(tmp_path: Path) -> None:
    """Each round at least one more is right; none is made more often than three times."""
    chain = Chain(plan(5), tmp_path)
    maker = Maker(chain, guesses={1: 1, 2: 2, 3: 3, 4: 4})
    waiting = [Task(number) for number in (4, 3, 2, 1, 0)]
    while waiting:
        waiting += maker.make(waiting.pop(0))
    assert chain.is_complete
    for number in range(1, 5):
        with np.load(edges_path(chain.path(number))) as made:
            assert int(made["r1"]) == 7
    counts = [sum(task.number == n for task in maker.order) for n in range(5)]
    assert counts[0] == 1
    assert max(counts) <= 3


def test_a_cut_is_a_joint_whatever_was_guessed(tmp_path: Path) -> None:
    chain = Chain(plan(2), tmp_path)
    maker = Maker(chain, guesses={1: 9}, cut=1)
    for number in (0, 1):
        assert maker.make(Task(number)) == []
    assert chain.is_complete


def test_what_was_made_before_is_not_made_again(tmp_path: Path) -> None:
    maker = Maker(Chain(plan(3), tmp_path), guesses={2: 9})
    maker.make(Task(0))
    maker.make(Task(2))
    again = Chain(plan(3), tmp_path)
    assert again.begin() == [Task(1)]
    (task,) = Maker(again).make(Task(1))
    assert (task.number, task.continues) == (2, again.path(1))
    assert Maker(again).make(task) == []
    assert again.is_complete


def test_segments_that_disagree_on_times_are_not_joined(tmp_path: Path) -> None:
    maker = Maker(Chain(plan(2), tmp_path), shift=1)
    maker.make(Task(0))
    with pytest.raises(JoinError, match="cannot be found again"):
        maker.make(Task(1))


def alphas(*levels: int) -> Alphas:
    """Frames of 100x100 pixels, each of one level."""
    pha = np.stack([np.full((100, 100), level, np.uint8) for level in levels])
    return Alphas(tuple(range(len(levels))), pha)


def test_each_frame_has_to_be_within_the_tolerance() -> None:
    still = alphas(100, 100, 100)
    assert are_alike(still, alphas(100, 100, 100))
    # One level everywhere is more than 1/1000 of the full range.
    assert not are_alike(still, alphas(100, 100, 101))
    some = alphas(100, 100, 100)
    some.pha[1, 0, :24] = 109
    assert are_alike(still, some)
    # Nine levels in 51 of 10,000 pixels: the mean is small, the share is not.
    some.pha[1, 0, :51] = 109
    assert not are_alike(still, some)


def test_where_there_is_nothing_to_compare_nothing_is_alike() -> None:
    """The one before saw a cut there, which this one did not."""
    nothing = Alphas((0, 1), np.empty((0, 100, 100), np.uint8))
    assert not are_alike(nothing, alphas(100, 100))
