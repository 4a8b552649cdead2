"""Connected parts, and labels that spread: compared with a flood that goes cell by cell."""

from collections import deque

import numpy as np
import pytest

from rvm_client.refine.components import BoolArray, Labels, labelled, spread

AROUND = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def flooded(mask: BoolArray) -> Labels:
    """The parts, 1 to N in reading order of their first cells."""
    labels = np.zeros(mask.shape, np.int32)
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        labels[start] = count
        waiting = deque([start])
        while waiting:
            row, column = waiting.popleft()
            for down, right in AROUND:
                y, x = row + down, column + right
                inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
                if inside and mask[y, x] and not labels[y, x]:
                    labels[y, x] = count
                    waiting.append((y, x))
    return labels


@pytest.mark.parametrize("density", [0.0, 0.05, 0.3, 0.45, 0.7, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (23, 31)])
def test_parts_are_those_of_a_flood(shape: tuple[int, int], density: float) -> None:
    mask = np.random.default_rng(7).random(shape) < density
    labels, count = labelled(mask)
    expected = flooded(mask)
    np.testing.assert_array_equal(labels, expected)
    assert count == expected.max()


def test_a_spiral_is_one_part_and_two_diagonals_touch() -> None:
    spiral = np.array(
        [
            [1, 1, 1, 1, 1],
            [0, 0, 0, 0, 1],
            [1, 1, 1, 0, 1],
            [1, 0, 0, 0, 1],
            [1, 1, 1, 1, 1],
        ],
        bool,
    )
    assert labelled(spiral)[1] == 1
    assert labelled(np.eye(4, dtype=bool))[1] == 1


def test_labels_spread_to_what_is_nearest_within_the_mask() -> None:
    seeds = np.zeros((3, 9), np.int32)
    seeds[0, 0], seeds[0, 8] = 1, 2
    into = np.ones((3, 9), bool)
    into[:, 6] = False
    expected = [1, 1, 1, 1, 1, 1, 0, 2, 2]
    np.testing.assert_array_equal(spread(seeds, into), [expected] * 3)


def test_between_two_as_near_the_higher_label_comes_first() -> None:
    seeds = np.array([[1, 0, 2]], np.int32)
    np.testing.assert_array_equal(spread(seeds, np.ones((1, 3), bool)), [[1, 2, 2]])
