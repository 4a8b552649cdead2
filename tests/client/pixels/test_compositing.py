import numpy as np
import pytest

from rvm_client.pixels import GREEN, checkerboard, composite, composite_plane, halved


def test_composite_is_the_rounded_blend_for_every_colour_and_alpha() -> None:
    colour, alpha = np.meshgrid(np.arange(256), np.arange(256))
    fgr = np.repeat(colour[..., np.newaxis], 3, axis=-1).astype(np.uint8)
    pha = alpha.astype(np.uint8)
    for background in (GREEN, (0, 0, 0), (255, 255, 255)):
        exact = (fgr * (alpha / 255)[..., None]) + np.array(background) * (1 - alpha / 255)[
            ..., None
        ]
        assert np.array_equal(composite(fgr, pha, background), np.floor(exact + 0.5))


def test_composite_takes_a_picture_as_background() -> None:
    picture = checkerboard(8, 8, 2)
    nothing = np.zeros((8, 8), np.uint8)
    assert np.array_equal(composite(np.zeros_like(picture), nothing, picture), picture)


def test_a_plane_is_blended_as_rgb_is() -> None:
    level, alpha = (a.astype(np.uint8) for a in np.meshgrid(np.arange(256), np.arange(256)))
    out = np.zeros((256, 300), np.uint8)[:, :256]
    for behind in (0, 16, 128, 255):
        exact = composite(np.repeat(level[..., np.newaxis], 3, -1), alpha, (behind,) * 3)
        composite_plane(level, alpha, behind, out)
        assert np.array_equal(out, exact[..., 0])
        composite_plane(level, alpha, np.full((256, 256), behind, np.uint8), out)
        assert np.array_equal(out, exact[..., 0])


@pytest.mark.parametrize("size", [(2, 2), (1080, 1920)])
def test_a_plane_over_a_picture(size: tuple[int, int]) -> None:
    """With strips that are clear, opaque and in between."""
    rng = np.random.default_rng(0)
    fgr, behind = rng.integers(0, 256, (2, *size), np.uint8)
    pha = np.zeros(size, np.uint8)
    pha[size[0] // 4 : size[0] // 2] = rng.integers(0, 256, pha[size[0] // 4 : size[0] // 2].shape)
    pha[size[0] // 2 :] = 255
    out = np.empty(size, np.uint8)
    composite_plane(fgr, pha, behind, out)
    exact = (fgr * (pha / 255)) + behind * (1 - pha / 255)
    assert np.array_equal(out, np.floor(exact + 0.5))


@pytest.mark.parametrize("size", [(2, 2), (6, 10), (1080, 1920)])
def test_half_a_plane_is_its_means(size: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    means = plane.reshape(size[0] // 2, 2, size[1] // 2, 2).mean(axis=(1, 3))
    assert np.array_equal(halved(plane), np.floor(means + 0.5))
    part = np.pad(plane, 3)[3:-3, 3:-3]
    assert np.array_equal(halved(part), np.floor(means + 0.5))


@pytest.mark.parametrize(("height", "width"), [(5, 7), (32, 64)])
def test_checkerboard_alternates(height: int, width: int) -> None:
    board = checkerboard(height, width, 2)
    assert board.shape == (height, width, 3)
    assert board[0, 0, 0] == board[2, 2, 0] != board[0, 2, 0] == board[2, 0, 0]
