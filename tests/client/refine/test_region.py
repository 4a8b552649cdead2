"""What lies in a box or a polygon is kept, and what lies in other boxes is not."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.pixels import UInt8Array
from rvm_client.refine import refined
from rvm_client.refinements import Refinements
from rvm_client.subject import Subject, parse_exclude

HEIGHT, WIDTH = 50, 80
INFO = VideoInfo(WIDTH, HEIGHT, Fraction(1, 10), Fraction(10), None, None, first_pts=20)


def kept(
    subject: Subject, level: int = 255, frames: int = 1, length: int = 1, start_seconds: float = 0
) -> UInt8Array:
    """[N,H,W]: what is kept of a picture of one alpha."""
    pha = np.full((frames, HEIGHT, WIDTH), level, np.uint8)
    fgr = np.zeros((frames, HEIGHT, WIDTH, 3), np.uint8)
    pts = range(20, 20 + frames)
    chunks = [
        MatteChunk(fgr[k : k + length], pha[k : k + length], tuple(pts[k : k + length]))
        for k in range(0, frames, length)
    ]
    wishes = Refinements(subject=subject)
    done = refined(iter(chunks), wishes, INFO, start_seconds=start_seconds)
    return np.concatenate([chunk.pha for chunk in done])


@pytest.mark.parametrize("level", [255, 100])
def test_a_box_has_the_share_of_its_pixels(level: int) -> None:
    found = kept(Subject.parse("box:0.1,0.25,0.51,0.995"), level)[0]
    rows, columns = np.zeros(HEIGHT), np.zeros(WIDTH)
    columns[8:40], columns[40] = 1, 0.8  # 0.1 * 80 to 0.51 * 80
    rows[13:49], rows[12], rows[49] = 1, 0.5, 0.75  # 0.25 * 50 to 0.995 * 50
    expected = level * np.outer(rows, columns)
    # Shares are rounded to levels, and so is the result.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1)
    assert found[20, 20] == level
    assert not found[20, 50:].any()


def test_a_polygon_has_the_share_of_its_pixels() -> None:
    found = kept(Subject.parse("polygon:0,0,1,0,0,1"))[0]
    # Half of the picture, and along its edge half of the pixels.
    assert found.sum() / 255 == pytest.approx(HEIGHT * WIDTH / 2, rel=0.01)
    assert (found[0, :75] == 255).all()
    assert not found[-1, 5:].any()
    assert 0 < found[25, 39] < 255


def test_a_box_moves_evenly_from_key_to_key_and_rests_before_and_after() -> None:
    subject = Subject.parse("box:0,0,0.25,1@0.2;0.5,0,0.75,1@1.2")
    lefts = [int(np.flatnonzero(pha[25])[0]) for pha in kept(subject, frames=20)]
    expected = [40 * min(1, max(0, (frame / 10 - 0.2))) for frame in range(20)]
    np.testing.assert_allclose(lefts, expected, atol=1e-6)


def test_key_times_are_those_of_the_source() -> None:
    subject = Subject.parse("box:0,0,0.25,1@0;0.5,0,0.75,1@2")
    whole = kept(subject, frames=20)
    part = kept(subject, frames=10, start_seconds=1.0)
    np.testing.assert_array_equal(part, whole[10:])


@pytest.mark.parametrize("length", [3, 7])
def test_chunks_of_any_length_get_the_same_result(length: int) -> None:
    subject = Subject.parse("polygon:0,0,0.5,0,0.3,1@0;0.5,0,1,0,0.6,1@1.7")
    one, other = kept(subject, 200, 19), kept(subject, 200, 19, length)
    np.testing.assert_array_equal(one, other)


def test_boxes_are_left_out() -> None:
    found = kept(Subject(exclude=parse_exclude("0,0,0.5,1;0.75,0.5,1,1")))[0]
    expected = np.full((HEIGHT, WIDTH), 255)
    expected[:, :40] = 0
    expected[25:, 60:] = 0
    np.testing.assert_array_equal(found, expected)


def test_a_region_and_boxes_go_together() -> None:
    found = kept(Subject.parse("box:0,0,0.5,0.5", parse_exclude("0,0,0.25,1")))[0]
    assert found[:25, 20:40].min() == 255
    assert found.sum() == 255 * 25 * 20


def test_the_model_s_alpha_is_left_alone() -> None:
    pha = np.full((1, HEIGHT, WIDTH), 255, np.uint8)
    chunk = MatteChunk(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8), pha, (20,))
    wishes = Refinements(subject=Subject.parse("box:0,0,0.5,0.5"))
    (result,) = refined(iter([chunk]), wishes, INFO)
    assert pha.min() == 255
    assert result.pha.min() == 0


def test_where_nothing_is_asked_for_the_mattes_themselves_come_out() -> None:
    mattes: Iterator[MatteChunk] = iter([])
    assert refined(mattes, Refinements(), INFO, shows_dropped=True) is mattes
