"""What is done to edges, on edges whose result a formula says."""

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from rvm_client.alpha_edges import Edges
from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.pixels import I420, LUMA_WEIGHTS, RGB, PixelLayout, UInt8Array, planes, yuv_to_rgb
from rvm_client.refine import refined
from rvm_client.refinements import Refinements

DoubleArray = npt.NDArray[np.float64]

HEIGHT, WIDTH = 96, 128
PLANES = I420(yuv_to_rgb(1, full_range=False))
PERSON, BEHIND = np.array([200, 120, 90]), np.array([40, 200, 60])


def edge(at: float, slope_pixels: float = 1.0) -> UInt8Array:
    """[H,W]: opaque on the left of `at`, clear on its right, linear between."""
    x = np.arange(WIDTH) + 0.5
    alpha = (0.5 + (at - x) / slope_pixels).clip(0, 1)
    levels: UInt8Array = np.rint(alpha * 255).astype(np.uint8)
    picture: UInt8Array = np.repeat(levels[np.newaxis], HEIGHT, axis=0)
    return picture


def done(
    edges: Edges, pha: UInt8Array, fgr: UInt8Array | None = None, layout: PixelLayout = RGB
) -> MatteChunk:
    """One frame, with other edges."""
    height, width = pha.shape
    if fgr is None:
        fgr = np.full(layout.frame_shape(height, width), 90, np.uint8)
    info = VideoInfo(width, height, Fraction(1, 30), Fraction(30), None, None, layout=layout)
    chunk = MatteChunk(fgr[np.newaxis], pha[np.newaxis], (0,), starts_scene=True)
    (result,) = refined(iter([chunk]), Refinements(edges=edges), info)
    return result


def alpha(edges: Edges, pha: UInt8Array) -> UInt8Array:
    refined_alpha: UInt8Array = done(edges, pha).pha[0]
    return refined_alpha


@pytest.mark.parametrize("pixels", [1, 2.5, 16, -1, -3.25, -16])
@pytest.mark.parametrize("slope", [1.0, 8.0])
def test_an_upright_edge_moves_by_as_many_pixels(pixels: float, slope: float) -> None:
    moved = alpha(Edges(shrink_pixels=pixels), edge(64, slope))
    whole = math.floor(pixels)
    # Between two whole pixels, the mean of both.
    one, other = edge(64 - whole, slope).astype(float), edge(64 - whole - 1, slope).astype(float)
    share = pixels - whole
    expected = np.rint((1 - share) * one + share * other)
    np.testing.assert_allclose(moved, expected, rtol=0, atol=0.5001)  # half is rounded either way
    lying = alpha(Edges(shrink_pixels=pixels), edge(64, slope).T.copy())
    np.testing.assert_array_equal(lying, moved.T)


def test_a_disc_stays_one_within_a_pixel() -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    distance = np.hypot(y - 48, x - 64)
    disc = np.rint(255 * (30.5 - distance).clip(0, 1)).astype(np.uint8)
    smaller = alpha(Edges(shrink_pixels=6), disc)
    assert not smaller[distance > 25].any()
    assert (smaller[distance < 22.5] == 255).all()


@pytest.mark.parametrize("pixels", [2, 4, 7.5, 32])
def test_a_hard_edge_becomes_a_slope(pixels: float) -> None:
    """Twice the mean over pixels / 2 + 1, drawn out by hand."""
    radius = pixels / 4
    offsets = np.arange(-math.ceil(radius), math.ceil(radius) + 1)
    box = (radius + 1 - np.abs(offsets)).clip(0, 1)
    box /= box.sum()
    hard = np.where(np.arange(WIDTH + 80) < 40 + 64, 255.0, 0.0)
    soft = np.convolve(np.convolve(hard, box, "same"), box, "same")[40:-40]
    found = alpha(Edges(feather_pixels=pixels), edge(64))
    np.testing.assert_allclose(found[48], soft, rtol=0, atol=0.51)
    # As much softness on both sides: the sum stays.
    assert found[48].astype(int).sum() == pytest.approx(edge(64)[48].astype(int).sum(), abs=WIDTH)
    assert (np.diff(found[48].astype(int)) <= 0).all()


def test_levels_are_a_line_through_black_and_white() -> None:
    ramp = edge(64, slope_pixels=100)
    found = alpha(Edges(levels=(0.1, 0.8)), ramp)
    expected = np.rint(255 * ((ramp / 255 - 0.1) / 0.7).clip(0, 1))
    np.testing.assert_array_equal(found, expected)
    assert {0, 255} <= {*found.ravel().tolist()}


def test_what_lies_at_the_border_of_the_picture_does_not_shrink_there() -> None:
    shrunk = alpha(Edges(shrink_pixels=5), edge(64))
    np.testing.assert_array_equal(shrunk, edge(59))


@pytest.mark.parametrize("level", [0, 255])
def test_without_an_edge_nothing_changes(level: int) -> None:
    pha = np.full((HEIGHT, WIDTH), level, np.uint8)
    fgr = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    result = done(Edges(3, 6, 1, (0.2, 0.7)), pha, fgr)
    np.testing.assert_array_equal(result.pha[0], pha)
    np.testing.assert_array_equal(result.fgr[0], fgr)


def test_only_tiles_of_the_edge_are_worked_on_and_the_result_is_that_of_the_whole() -> None:
    """Where everything is an edge, all tiles are; the same edge alone gets the same result."""
    edges = Edges(shrink_pixels=-2.5, feather_pixels=9)
    lonely = edge(64)
    crowded = lonely.copy()
    crowded[:2], crowded[-2:] = 128, 128
    far = np.s_[40:56]
    np.testing.assert_array_equal(alpha(edges, lonely)[far], alpha(edges, crowded)[far])


# --- colours


def spilled(pha: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """RGB of a person whose edge has as much of what is behind as alpha lets through; and pha."""
    share = pha[..., np.newaxis] / 255
    return np.rint(PERSON * share + BEHIND * (1 - share)).astype(np.uint8), pha


def tint(rgb: DoubleArray) -> DoubleArray:
    """Colours without their luma."""
    red, blue = LUMA_WEIGHTS[1]
    luma: DoubleArray = rgb @ np.array([red, 1 - red - blue, blue])
    return rgb - luma[..., np.newaxis]


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_tint_is_taken_off_and_the_brightness_stays(strength: float) -> None:
    fgr, pha = spilled(edge(64, slope_pixels=12))
    result = done(Edges(despill=strength), pha, fgr)
    np.testing.assert_array_equal(result.pha[0], pha)
    row, new = fgr[48].astype(float), result.fgr[0, 48].astype(float)
    least = pha[48, np.minimum(np.arange(WIDTH) + 2, WIDTH - 1)] / 255
    taken = strength * np.minimum(1, 4 * (1 - least))[:, np.newaxis]
    expected = row + taken * (tint(PERSON - row))
    shown = pha[48] > 0
    np.testing.assert_allclose(new[shown], expected.clip(0, 255)[shown], rtol=0, atol=0.51)
    # Wholly, where alpha is at most 3/4.
    if strength == 1:
        soft = (pha[48] > 0) & (pha[48] < 190)
        np.testing.assert_allclose(tint(new[soft]), tint(PERSON + 0 * new[soft]), atol=1)
        assert np.abs(tint(row[soft]) - tint(PERSON + 0 * row[soft])).max() > 50


def in_planes(rgb: UInt8Array) -> UInt8Array:
    matrix = np.array(PLANES.from_rgb)
    yuv = rgb @ matrix[:, :3].T + matrix[:, 3]
    chroma = [yuv[..., i].reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean(axis=(1, 3)) for i in (1, 2)]
    stacked = np.concatenate([yuv[..., 0].ravel(), *(plane.ravel() for plane in chroma)])
    packed: UInt8Array = np.rint(stacked).astype(np.uint8)
    return packed.reshape(HEIGHT * 3 // 2, WIDTH)


def test_in_planes_only_chroma_is_changed() -> None:
    fgr, pha = spilled(edge(64, slope_pixels=24))
    packed = in_planes(fgr)
    result = done(Edges(despill=1), pha, packed, PLANES)
    luma, chroma = planes(result.fgr[0])
    np.testing.assert_array_equal(luma, planes(packed)[0])
    _, own = planes(in_planes(np.broadcast_to(PERSON, fgr.shape).astype(np.uint8)))
    soft = np.flatnonzero((pha[48, ::2] > 0) & (pha[48, ::2] < 180))
    np.testing.assert_allclose(chroma[:, 24, soft], own[:, 24, soft], rtol=0, atol=1)
    assert np.abs(planes(packed)[1][:, 24, soft].astype(int) - own[:, 24, soft]).max() > 20


@pytest.mark.parametrize("layout", [RGB, PLANES], ids=lambda layout: layout.name)
@pytest.mark.parametrize("edges", [Edges(shrink_pixels=-6), Edges(feather_pixels=16)], ids=str)
def test_alpha_that_has_grown_shows_the_person_and_not_what_was_behind(
    layout: PixelLayout, edges: Edges
) -> None:
    pha = edge(64)
    fgr = np.where(pha[..., np.newaxis] > 0, PERSON, BEHIND).astype(np.uint8)
    everywhere = np.broadcast_to(PERSON, fgr.shape).astype(np.uint8)
    if layout is PLANES:
        fgr, everywhere = in_planes(fgr), in_planes(everywhere)
    result = done(edges, pha, fgr, layout)
    grown = (result.pha[0] > 0) & (pha == 0)
    assert grown.any()
    if layout is RGB:
        np.testing.assert_allclose(result.fgr[0][grown], everywhere[grown].astype(int), atol=1)
    else:
        luma, chroma = planes(result.fgr[0])
        np.testing.assert_allclose(luma[grown], planes(everywhere)[0][grown].astype(int), atol=1)
        coarse = grown[::2, ::2] & grown[1::2, 1::2]
        np.testing.assert_allclose(
            chroma[:, coarse], planes(everywhere)[1][:, coarse].astype(int), atol=1
        )


@pytest.mark.parametrize("size", [(33, 47), (5, 200), (64, 64), (97, 33)])
def test_any_size(size: tuple[int, int]) -> None:
    height, width = size
    pha = np.random.default_rng(3).integers(0, 256, size, np.uint8)
    pha[:, : width // 2] = 255
    info = VideoInfo(width, height, Fraction(1, 30), Fraction(30), None, None)
    fgr = np.full((1, height, width, 3), 77, np.uint8)
    chunk = MatteChunk(fgr, pha[np.newaxis], (0,), starts_scene=True)
    wishes = Refinements(edges=Edges(-3.5, 5, 1, (0.1, 0.9)))
    (result,) = refined(iter([chunk]), wishes, info)
    assert result.pha.shape == (1, height, width)
    # A person of one colour stays one.
    assert {*np.unique(result.fgr).tolist()} == {77}


def test_the_model_s_arrays_are_left_alone() -> None:
    """They may be memory that is read once more."""
    fgr, pha = spilled(edge(64, 9))
    before = fgr.copy(), pha.copy()
    done(Edges(2, 6, 1, (0.1, 0.9)), pha, fgr)
    np.testing.assert_array_equal(fgr, before[0])
    np.testing.assert_array_equal(pha, before[1])
