"""The largest person is kept, and nobody flickers in and out."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from tests.support.people import INFO, RATE, Frame, UInt8Array, Walker, chunks, picture

from rvm_client.refine import refined
from rvm_client.refinements import Refinements
from rvm_client.subject import Subject

WISHES = Refinements(subject=Subject.parse("largest"))
BLUE, RED = (60, 70, 190), (190, 70, 60)


def kept(frames: Sequence[Frame], length: int = 4, cuts: Sequence[int] = ()) -> UInt8Array:
    """[N,H,W] alpha of the largest."""
    return np.concatenate([c.pha for c in refined(chunks(frames, length, cuts), WISHES, INFO)])


def share_of(alpha: UInt8Array, walker: Walker, hidden_by: Walker | None = None) -> float:
    """How much of somebody's alpha is there, of what of him can be seen."""
    own = walker.alpha
    if hidden_by is not None:
        own = np.where(hidden_by.alpha > 0, 0, own)
    return float(np.minimum(alpha / 255, own).sum() / own.sum())


def main_at(x: float = 110) -> Walker:
    return Walker(x, 95, 64, 150, RED)


def other_at(x: float) -> Walker:
    return Walker(x, 105, 50, 110, BLUE)


def test_alone_all_stays_to_the_last_level() -> None:
    frames = [picture([main_at(80 + 3 * k)]) for k in range(20)]
    np.testing.assert_array_equal(kept(frames), [pha for _, pha in frames])


def test_of_two_the_larger_stays_with_its_soft_edge() -> None:
    frames = [picture([main_at(), other_at(250)])] * 6
    for alpha in kept(frames):
        np.testing.assert_array_equal(alpha, np.rint(main_at().alpha * 255))


def test_without_anybody_nothing_is_kept_nor_fails() -> None:
    empty = picture([])
    assert not kept([empty] * 3).any()


@pytest.mark.parametrize("colours", [(RED, BLUE), (RED, RED)], ids=["other clothes", "alike"])
def test_somebody_who_touches_the_subject_for_a_moment_stays_away(
    colours: tuple[tuple[int, int, int], tuple[int, int, int]],
) -> None:
    main = Walker(110, 95, 64, 150, colours[0])
    # Comes, overlaps the arm by a few pixels, and goes.
    places = [*range(230, 160, -4), *[160] * 10, *range(160, 230, 5)]
    walkers = [Walker(x, 105, 50, 110, colours[1]) for x in places]
    touching = 0
    for walker, alpha in zip(walkers, kept([picture([main, w]) for w in walkers]), strict=True):
        touching += bool((np.minimum(main.alpha, walker.alpha) > 0.5).any())
        assert share_of(alpha, main) > 0.95
        assert share_of(alpha, walker, hidden_by=main) < 0.1
    assert touching > 10


def test_somebody_who_walks_past_in_front_does_not_become_the_subject() -> None:
    main, walkers = main_at(150), [other_at(x) for x in range(290, 20, -6)]
    alphas = kept([picture([main, walker]) for walker in walkers])
    for walker, alpha in zip(walkers, alphas, strict=True):
        assert share_of(alpha, main, hidden_by=walker) > 0.9
    # And when he has passed, he is no part of it.
    np.testing.assert_array_equal(alphas[-1], np.rint(main.alpha * 255))


def test_of_two_in_the_same_clothes_one_is_kept_when_they_have_passed() -> None:
    main, walkers = main_at(150), [Walker(x, 105, 50, 130, RED) for x in range(260, 40, -6)]
    last = kept([picture([main, walker]) for walker in walkers])[-1]
    shares = sorted([share_of(last, main), share_of(last, walkers[-1])])
    assert shares[0] < 0.01
    assert shares[1] > 0.99


def test_two_who_walk_hand_in_hand_are_told_apart_by_how_they_move() -> None:
    """In the same clothes; they meet, and go on together."""
    places = [(90, x) for x in range(190, 140, -4)] + [(x, x + 52) for x in range(90, 220, 5)]
    walkers = [(main_at(x), Walker(y, 105, 50, 110, RED)) for x, y in places]
    for (main, walker), alpha in zip(walkers, kept(list(map(picture, walkers))), strict=True):
        assert share_of(alpha, main, hidden_by=walker) > 0.9
        assert share_of(alpha, walker, hidden_by=main) < 0.15


def test_a_subject_that_walks_past_behind_somebody_is_found_again() -> None:
    mains = [Walker(x, 95, 64, 178, RED) for x in range(60, 270, 6)]
    post = Walker(165, 100, 40, 150, BLUE)
    alphas = kept([picture([main, post]) for main in mains])
    assert share_of(alphas[-1], mains[-1]) > 0.99
    assert share_of(alphas[-1], post) < 0.01


def test_a_subject_that_leaves_and_comes_back_is_the_subject_again() -> None:
    away = [picture([other_at(250)])] * RATE
    frames = [*[picture([main_at(), other_at(250)])] * 20, *away]
    comes_back = [picture([main_at(x), other_at(250)]) for x in range(-30, 110, 5)]
    alphas = kept([*frames, *comes_back])
    assert not alphas[20 : 20 + RATE].any()
    assert share_of(alphas[-1], main_at(105)) > 0.99
    assert share_of(alphas[-1], other_at(250)) < 0.01


def test_whoever_stays_larger_for_long_becomes_the_subject_once() -> None:
    large, small = Walker(110, 95, 90, 178, RED), other_at(250)
    frames = [picture([small])] * 10 + [picture([large, small])] * (2 * RATE)
    sizes = [(share_of(alpha, large) > 0.5, share_of(alpha, small) > 0.5) for alpha in kept(frames)]
    changes = [one for one, next_one in itertools.pairwise(sizes) if one != next_one]
    assert sizes[0] == (False, True)
    assert sizes[-1] == (True, False)
    assert len(changes) == 1


def test_a_size_that_changes_to_and_fro_changes_nothing() -> None:
    frames = []
    for k in range(40):
        near = Walker(240, 100, 64 + 30 * (k // 5 % 2), 140, BLUE)
        frames.append(picture([Walker(100, 100, 70, 140, RED), near]))
    for alpha in kept(frames):
        assert share_of(alpha, Walker(100, 100, 70, 140, RED)) > 0.99


def test_a_hand_that_comes_into_view_before_its_arm_joins_it() -> None:
    hands = [Walker(x, 60, 24, 24, RED) for x in range(200, 140, -4)]
    frames = [picture([main_at()])] * 3 + [picture([main_at(), hand]) for hand in hands]
    alphas = kept(frames)
    assert share_of(alphas[3], hands[0]) < 0.01
    assert share_of(alphas[-1], hands[-1]) > 0.99


def test_a_cut_begins_anew() -> None:
    before = [picture([main_at(), other_at(250)])] * 5
    after = [picture([other_at(110), main_at(240)])] * 5
    alphas = kept([*before, *after], cuts=[5])
    assert share_of(alphas[5], main_at(240)) > 0.99
    assert share_of(alphas[5], other_at(110)) < 0.01


def test_chunks_of_any_length_get_the_same_result() -> None:
    walkers = [other_at(x) for x in range(240, 140, -8)]
    frames = [picture([main_at(), walker]) for walker in walkers]
    one = kept(frames, 1)
    for length in (3, 7):
        np.testing.assert_array_equal(kept(frames, length), one)


def test_what_the_preview_shows_is_what_was_dropped() -> None:
    frames = [picture([main_at(), other_at(250)])] * 3
    for chunk in refined(chunks(frames, 3), WISHES, INFO, shows_dropped=True):
        assert chunk.dropped is not None
        whole = np.stack([pha for _, pha in frames])
        np.testing.assert_array_equal(chunk.pha + chunk.dropped, whole)
        assert share_of(chunk.dropped[0], other_at(250)) > 0.99
