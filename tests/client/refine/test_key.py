"""Keyed mattes: nearer the truth than what they were made of, and guarded by it."""

import numpy as np
import numpy.typing as npt
import pytest
from tests.support.screens import GREEN, SKIN, Shown, before_screen

from rvm_client.refine.grids import Grid
from rvm_client.refine.key import keyed
from rvm_client.refine.screen import find_screen

UInt8Array = npt.NDArray[np.uint8]


def key(shown: Shown, src: UInt8Array | None = None) -> tuple[UInt8Array, UInt8Array]:
    picture = shown.src[0] if src is None else src
    screen = find_screen(picture, shown.pha[0])
    assert screen is not None
    return keyed(picture, shown.fgr[0], shown.pha[0], screen)


def error(alpha: UInt8Array, shown: Shown) -> float:
    return float(np.abs(alpha.astype(float) - shown.true[0]).mean())


@pytest.mark.parametrize("screen", [GREEN, (35, 70, 180), (180, 40, 140)])
@pytest.mark.parametrize("size", [(180, 240), (181, 243)])
def test_hair_and_outline_come_out(screen: tuple[int, int, int], size: tuple[int, int]) -> None:
    """Three hairs, which the model has not; an outline that it has a pixel too wide."""
    shown = before_screen(screen=screen, size=size)
    _, alpha = key(shown)
    assert error(alpha, shown) < 0.2 * error(shown.pha[0], shown)
    is_hair = (shown.true[0] == 153) & (shown.pha[0] == 0)
    assert is_hair.sum() > 100
    assert np.abs(alpha[is_hair].astype(float) - 153).mean() < 30


def test_the_foreground_has_none_of_the_screen() -> None:
    """Straight colour is the person's, at half alpha as at full."""
    shown = before_screen()
    colours, alpha = key(shown)
    shows = (alpha > 64) & (alpha < 255)
    greener = colours.astype(float)[..., 1] - colours[..., 0]
    assert (shown.fgr[0][shows].astype(float) - SKIN)[:, 1].mean() > 5
    assert np.abs(colours[shows].astype(float) - SKIN).mean() < 10
    assert greener[alpha > 0].max() < 0


def test_far_from_the_person_marks_stay_out() -> None:
    shown = before_screen()
    marked = shown.src[0].copy()
    marked[10:16, 210:216] = (20, 20, 20)
    _, alpha = key(shown, marked)
    assert not alpha[5:21, 205:221].any()


def test_deep_inside_a_shirt_of_the_screen_s_colour_stays() -> None:
    shown = before_screen()
    worn = shown.src[0].copy()
    worn[90:108, 87:105] = GREEN
    _, alpha = key(shown, worn)
    assert (alpha[90:108, 87:105] == 255).all()
    assert (alpha[shown.true[0] == 0] < 30).all()


def test_clothes_with_some_of_the_hue_are_not_seen_through() -> None:
    """A greenish grey, a fifth of the way to the screen."""
    shown = before_screen(person=(120, 140, 122))
    _, alpha = key(shown)
    inner = shown.true[0] == 255
    assert alpha[inner].mean() > 250


def test_without_a_person_nothing_is_left() -> None:
    shown = before_screen()
    empty = np.zeros_like(shown.pha[0])
    screen = find_screen(shown.src[0][:, 160:], empty[:, 160:])
    assert screen is not None
    _, alpha = keyed(shown.src[0][:, 160:], shown.fgr[0][:, 160:], empty[:, 160:], screen)
    assert not alpha.any()


def test_what_is_given_stays_as_it_is() -> None:
    shown = before_screen()
    before = shown.src.copy(), shown.fgr.copy(), shown.pha.copy()
    key(shown)
    for array, was in zip((shown.src, shown.fgr, shown.pha), before, strict=True):
        assert np.array_equal(array, was)


def test_values_of_cells_are_read_between_their_middles() -> None:
    """A slope over cells is the same slope over pixels, and flat beyond the outer middles."""
    grid = Grid(22, 17, 5)
    slope = np.mgrid[0:5, 0:4].astype(np.float32)
    patch = grid.patch(np.ones((5, 4), bool))
    assert sorted(zip(patch.y.tolist(), patch.x.tolist(), strict=True)) == [
        (y, x) for y in range(22) for x in range(17)
    ]
    down, across = patch.read(np.stack([*slope], axis=-1))
    assert np.allclose(down, ((patch.y + 0.5) / 5 - 0.5).clip(0, 4), atol=1e-5)
    assert np.allclose(across, ((patch.x + 0.5) / 5 - 0.5).clip(0, 3), atol=1e-5)
