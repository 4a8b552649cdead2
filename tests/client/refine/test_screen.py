"""The screen behind a person is found where there is one, and nowhere else."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.support.screens import SKIN, Shown, before_screen

from rvm_client.refine.screen import Screen, find_screen
from rvm_export.evaluate.backgrounds import Background
from rvm_export.verify.goldens import INT8_CASES

UInt8Array = npt.NDArray[np.uint8]


def screen_of(shown: Shown) -> Screen | None:
    return find_screen(shown.src[0], shown.pha[0])


def behind(shown: Shown, picture: npt.NDArray[Any]) -> UInt8Array:
    """The same person before something else."""
    alpha = shown.true[0, ..., None] / 255
    composed = alpha * np.array(SKIN) + (1 - alpha) * picture
    return np.asarray(np.rint(np.clip(composed, 0, 255)), np.uint8)


SCREENS = {
    "green": (0, 177, 64),
    "dark green": (25, 90, 45),
    "pale green": (110, 190, 120),
    "blue": (0, 71, 187),
    "magenta": (180, 40, 140),
}


@pytest.mark.parametrize("colour", SCREENS.values(), ids=SCREENS)
def test_a_screen_is_found_however_it_is_lit(colour: tuple[int, int, int]) -> None:
    shown = before_screen(screen=colour, unevenness=0.6)
    screen = screen_of(shown)
    assert screen is not None
    assert screen.is_plain
    left, right = screen.colours[:, 2].mean(axis=0), screen.colours[:, -3].mean(axis=0)
    assert np.allclose(left, np.array(colour) * 0.72, atol=6)
    assert np.allclose(right, np.array(colour) * 1.28, atol=6)


def test_behind_the_person_it_is_as_beside_her() -> None:
    """Where it cannot be seen, its colour is that of what is near."""
    screen = screen_of(before_screen(unevenness=0))
    assert screen is not None
    assert np.allclose(screen.colours, (45, 160, 70), atol=3)


def test_where_no_room_is_left_nothing_is_said() -> None:
    shown = before_screen()
    assert find_screen(shown.src[0], np.full_like(shown.pha[0], 255)) is None


def octaves(base: tuple[int, int, int], strength: float) -> npt.NDArray[np.float64]:
    """[180,240,3]: a colour, with texture of several scales."""
    rng = np.random.default_rng(3)
    texture = np.zeros((180, 240))
    for side in (60, 30, 12, 3):
        texture += np.kron(rng.normal(0, 1, (180 // side, 240 // side)), np.ones((side, side)))
    return np.asarray(np.array(base) * (1 + strength * texture[..., None] / 2))


ORDINARY = {
    "grass": octaves((90, 130, 45), 0.35),
    "leaves": octaves((60, 95, 40), 0.6),
    "cloudy sky": octaves((110, 160, 215), 0.15),
    "wood, as skin": octaves((150, 105, 65), 0.02),
    "a wall": octaves((200, 185, 160), 0.03),
    "grey": octaves((120, 125, 122), 0.02),
    "night": octaves((15, 20, 30), 0.3),
}


@pytest.mark.parametrize("picture", ORDINARY.values(), ids=ORDINARY)
def test_what_is_no_screen_is_not_taken_for_one(picture: npt.NDArray[np.float64]) -> None:
    shown = before_screen()
    screen = find_screen(behind(shown, picture), shown.pha[0])
    assert screen is None or not screen.is_plain


def test_made_backgrounds_are_no_screens() -> None:
    shown = before_screen()
    for seed in range(12):
        drawn = Background.drawn_from(np.random.default_rng(seed), 240, 180).at(0, 240, 180)
        screen = find_screen(behind(shown, drawn), shown.pha[0])
        assert screen is None or not screen.is_plain, seed


def test_a_portrait_is_before_no_screen() -> None:
    case = INT8_CASES[0]
    for src, pha in zip(case.src, case.pha, strict=True):
        screen = find_screen(src, pha)
        assert screen is None or not screen.is_plain


def test_half_a_screen_is_not_plain() -> None:
    shown = before_screen()
    half = shown.src[0].copy()
    half[:, 165:] = 90
    screen = find_screen(half, shown.pha[0])
    assert screen is not None
    assert not screen.is_plain
    assert 0.4 < screen.share < 0.9
