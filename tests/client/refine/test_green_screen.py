"""Which scenes are keyed, whatever the frames of a chunk, and what is said of it."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from tests.support.screens import Shown, before_screen

from rvm_client.errors import UsageError
from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.pixels import UInt8Array
from rvm_client.refine import Findings, refined
from rvm_client.refinements import Refinements, SourceType

INFO = VideoInfo(240, 180, Fraction(1, 30), Fraction(30), None, None)


def scene(frames: int, *, has_screen: bool) -> Shown:
    return before_screen(frames, screen=(45, 160, 70) if has_screen else (120, 125, 122))


def chunks(scenes: list[Shown], count: int) -> Iterator[MatteChunk]:
    """As the session gives them: arrays that are overwritten by the next chunk's."""
    pts = 0
    for shown in scenes:
        for start in range(0, len(shown.src), count):
            part = slice(start, start + count)
            fgr, pha = shown.fgr[part].copy(), shown.pha[part].copy()
            frames = tuple(range(pts, pts + len(fgr)))
            yield MatteChunk(fgr, pha, frames, start == 0, shown.src[part])
            fgr[:], pha[:] = 7, 7
            pts += len(frames)


def matted(
    scenes: list[Shown], source_type: SourceType, count: int = 3
) -> tuple[list[MatteChunk], int]:
    findings = Findings()
    wished = Refinements(source_type=source_type)
    result = []
    for chunk in refined(chunks(scenes, count), wished, INFO, findings):
        arrays = chunk.fgr.copy(), chunk.pha.copy()
        result.append(MatteChunk(*arrays, chunk.pts, chunk.starts_scene))
    return result, findings.keyed_frames


def alphas(result: list[MatteChunk]) -> UInt8Array:
    assert [pts for chunk in result for pts in chunk.pts] == list(
        range(sum(len(chunk.pts) for chunk in result))
    )
    return np.concatenate([chunk.pha for chunk in result])


@pytest.fixture(scope="module")
def scenes() -> list[Shown]:
    """Scenes with and without a screen, the last two shorter than what a scene is decided by."""
    return [
        scene(6, has_screen=False),
        scene(8, has_screen=True),
        scene(2, has_screen=False),
        scene(3, has_screen=True),
    ]


@pytest.fixture(scope="module")
def one_by_one(scenes: list[Shown]) -> list[MatteChunk]:
    """Keyed in chunks of one frame."""
    return matted(scenes, "auto", 1)[0]


@pytest.mark.parametrize(("source_type", "count"), [("auto", 3), ("auto", 7), ("green_screen", 4)])
def test_each_scene_is_keyed_where_it_has_a_screen(
    scenes: list[Shown], one_by_one: list[MatteChunk], source_type: SourceType, count: int
) -> None:
    """The same frames whatever the chunks, and whoever says that there is a screen."""
    result, keyed_frames = matted(scenes, source_type, count)
    alpha = alphas(result)
    assert keyed_frames == 11
    assert np.array_equal(alpha, alphas(one_by_one))
    assert np.array_equal(
        np.concatenate([c.fgr for c in result]), np.concatenate([c.fgr for c in one_by_one])
    )
    assert [c.pts[0] for c in result if c.starts_scene] == [0, 6, 14, 16]
    plain = np.concatenate([shown.pha for shown in scenes])
    changed = [bool((a != b).any()) for a, b in zip(alpha, plain, strict=True)]
    assert changed == [False] * 6 + [True] * 8 + [False] * 2 + [True] * 3


def test_a_person_alone_costs_nothing() -> None:
    mattes = chunks([scene(2, has_screen=True)], 2)
    assert refined(mattes, Refinements(), INFO) is mattes
    wished = Refinements()
    assert (wished.is_nothing, wished.needs_source, wished.needs_rgb) == (True, False, False)


@pytest.mark.parametrize(("source_type", "memory"), [("auto", True), ("green_screen", False)])
def test_what_it_asks_for(source_type: SourceType, memory: bool) -> None:
    """Whoever cuts a video in parts has to know whether scenes are decided by their start."""
    wished = Refinements(source_type=source_type)
    assert (wished.needs_source, wished.needs_rgb, wished.has_memory) == (True, True, memory)


def test_half_a_screen_is_keyed_only_where_the_caller_says_so() -> None:
    shown = scene(5, has_screen=True)
    shown.src[:, :, 180:] = 90
    assert matted([shown], "auto")[1] == 0
    assert matted([shown], "green_screen")[1] == 5


def test_another_source_type_is_refused() -> None:
    with pytest.raises(UsageError, match="source_type is 'blue'; it must be person, green_screen"):
        Refinements(source_type="blue")  # type: ignore[arg-type]
