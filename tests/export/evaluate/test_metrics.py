"""The figures, worked out by hand and by a published implementation."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from rvm_export.evaluate.components import largest_component
from rvm_export.evaluate.metrics import (
    Frame,
    connectivity_error,
    gradient_error,
    measure,
)

UInt8Array = npt.NDArray[np.uint8]


def frame(pha: list[list[int]], fgr: UInt8Array | None = None) -> Frame:
    alpha = np.array(pha, np.uint8)
    return Frame(alpha, np.zeros((*alpha.shape, 3), np.uint8) if fgr is None else fgr)


def test_mad_and_mse_by_hand() -> None:
    found, true = frame([[0, 255], [51, 102]]), frame([[0, 255], [0, 0]])
    figures = measure(found, true, None, None)
    # Off by 0, 0, 0.2 and 0.4.
    assert figures.mad == pytest.approx(150)
    assert figures.mse == pytest.approx(50)
    assert figures.dtssd == 0


def test_dtssd_by_hand() -> None:
    """One of four pixels changes by 0.4 instead of 0.2; what is wrong throughout is none."""
    before, after = frame([[51, 0], [0, 0]]), frame([[153, 0], [0, 0]])
    true_before, true = frame([[153, 0], [0, 0]]), frame([[204, 0], [0, 0]])
    assert measure(after, true, before, true_before).dtssd == pytest.approx(10)
    assert measure(before, true, before, true).dtssd == 0


def test_foreground_by_hand() -> None:
    """Where the true alpha is 0 there is no foreground to be right about."""
    colours = np.zeros((1, 3, 3), np.uint8)
    found = colours.copy()
    found[0, 0] = 255
    found[0, 1, 2] = 51
    true = frame([[0, 1, 255]], colours)
    assert measure(frame([[0, 1, 255]], found), true, None, None).fgr_mse == pytest.approx(40 / 6)
    nobody = frame([[0, 0, 0]], colours)
    assert measure(frame([[0, 0, 0]], found), nobody, None, None).fgr_mse == 0


@pytest.mark.parametrize(
    ("found", "true", "expected"),
    [
        # The island is in one of the two only.
        ([1, 1, 0, 0], [1, 1, 0, 1], 1.0),
        # Both have it, apart from the rest: equally disconnected.
        ([1, 1, 0, 1], [1, 1, 0, 1], 0.0),
        # Less than 0.15 from connected is connected.
        ([1, 1, 0, 0.1], [1, 1, 0, 0], 0.0),
        # Both reach 0.5 and are connected up to there; the rest of the truth is not.
        ([1, 0.55], [1, 1], 0.5),
    ],
)
def test_connectivity_by_hand(found: list[float], true: list[float], expected: float) -> None:
    # A thousandth, as the sum is divided by 1000.
    assert connectivity_error(np.array([found]), np.array([true])) == pytest.approx(expected / 1e3)


def test_gradient_of_an_edge_by_hand() -> None:
    """A straight edge against nothing: the response of the filter across it, squared, summed."""
    height, sigma = 7, 1.4
    x = range(-4, 5)
    gauss = [math.exp(-(n**2) / (2 * sigma**2)) for n in x]
    slope = [-n * g for n, g in zip(x, gauss, strict=True)]
    gauss_sum = sum(gauss) / math.sqrt(sum(g * g for g in gauss))
    length = math.sqrt(sum(s * s for s in slope))
    responses = [sum(slope[n:]) / length for n in range(1, 9)]
    expected = height * gauss_sum**2 * sum(r * r for r in responses) / 1e3
    edge = np.repeat([[0.0] * 10 + [1.0] * 10], height, axis=0)
    assert gradient_error(np.zeros_like(edge), edge) == pytest.approx(expected)
    assert gradient_error(edge, edge) == 0
    # Stretched to the whole range, a faint edge is the same edge.
    assert gradient_error(0.2 + 0.5 * edge, edge) == pytest.approx(0)


def random_mattes(seed: int, height: int, width: int) -> tuple[UInt8Array, UInt8Array]:
    """Blobs, and the same with noise: alphas that were found, and the true ones."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    centres = zip(
        rng.uniform(0, height, 6), rng.uniform(0, width, 6), rng.uniform(4, 16, 6), strict=True
    )
    blobs = sum(
        np.exp(-((y - down) ** 2 + (x - right) ** 2) / (2 * radius**2))
        for down, right, radius in centres
    )
    true = np.clip(1.6 * blobs - 0.3, 0, 1)
    found = np.clip(true + 0.25 * rng.standard_normal(true.shape), 0, 1)
    return np.rint(found * 255).astype(np.uint8), np.rint(true * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("seed", "height", "width", "grad", "conn"),
    [
        (0, 72, 128, 0.41807797241210937, 1.178041259765625),
        (1, 97, 131, 0.5595155029296875, 1.3667333984375),
        (2, 240, 320, 3.317964599609375, 7.0758369140625),
    ],
)
def test_a_published_implementation_has_the_same_values(
    seed: int, height: int, width: int, grad: float, conn: float
) -> None:
    """`gradient_error` and `connectivity` of mmedit 0.16.1 with OpenCV 4.11.0, all of it unknown.

    They gave these numbers for these mattes. It computes in float32.
    """
    found, true = (levels / 255 for levels in random_mattes(seed, height, width))
    assert gradient_error(found, true) == pytest.approx(grad, rel=1e-5)
    assert connectivity_error(found, true) == pytest.approx(conn, rel=1e-5)


def test_perfect_mattes_have_no_error() -> None:
    _, levels = random_mattes(0, 48, 64)
    true = Frame(levels, np.dstack([levels] * 3))
    figures = measure(true, true, true, true)
    assert {*vars(figures).values()} == {0.0}


def flooded(mask: npt.NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """The components, by filling from each pixel."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    components = []
    while left:
        component, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            component.add((y, x))
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
            left -= near
            edge += near
        components.append(component)
    return components


@pytest.mark.parametrize("density", [0.0, 0.2, 0.5, 0.6, 0.75, 1.0])
def test_the_largest_component(density: float) -> None:
    rng = np.random.default_rng(3)
    for shape in ((1, 40), (40, 1), (23, 31), (40, 40)):
        mask = rng.random(shape) < density
        found = {(int(y), int(x)) for y, x in np.argwhere(largest_component(mask))}
        components = flooded(mask)
        assert len(found) == max(map(len, components), default=0)
        assert not found or found in components


def test_a_spiral_is_one_component() -> None:
    """What joins late, and by many steps."""
    mask = np.zeros((41, 41), bool)
    y = x = 0
    for length, (down, right) in zip(
        [40, 40, 40, *[n for n in range(38, 1, -2) for _ in range(2)]],
        [(0, 1), (1, 0), (0, -1), (-1, 0)] * 12,
        strict=False,
    ):
        for _ in range(length):
            mask[y, x] = True
            y, x = y + down, x + right
    np.testing.assert_array_equal(largest_component(mask), mask)
