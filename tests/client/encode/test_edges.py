"""No halo: decoded alpha video over any background looks like the model's own picture over it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.client.encode.test_writer import video_info
from tests.support.clips import alpha_plane, packed, read_frames, to_rgb, yuv_of
from tests.support.hevc_reader import layer_frames

from rvm_client.encode import open_writer
from rvm_client.encode.blocks import BLOCK_PIXELS
from rvm_client.encode.edges import bleed_edges, bleed_planes
from rvm_client.frames import MatteChunk
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import (
    I420,
    RGB,
    PixelLayout,
    UInt8Array,
    composite,
    plane_rows,
    planes,
    yuv_to_rgb,
)

WIDTH, HEIGHT = 320, 192
BACKGROUNDS = {
    "red": (255, 0, 0),
    "blue": (0, 0, 255),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
DECODERS = {OutputType.ALPHA: "libvpx-vp9"}


def person(shift: int = 0, beyond_pixels: float = 1) -> tuple[UInt8Array, UInt8Array]:
    """A bright, two-coloured disc with a soft edge before a green wall: fgr and pha.

    As the model does it: the person's colour within and a little beyond, the wall's elsewhere.
    """
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(y - HEIGHT / 2, x - WIDTH / 2 - shift)
    pha = np.clip((60 - distance) * 40, 0, 255).astype(np.uint8)
    fgr = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    fgr[:] = (20, 200, 30)
    near = distance < 60 + beyond_pixels
    fgr[near & (y < HEIGHT / 2)] = (240, 180, 150)
    fgr[near & (y >= HEIGHT / 2)] = (60, 60, 230)
    return fgr, pha


def chunk(beyond_pixels: float = 1) -> MatteChunk:
    pictures = [person(shift, beyond_pixels) for shift in range(4)]
    return MatteChunk(
        fgr=np.stack([fgr for fgr, _ in pictures]),
        pha=np.stack([pha for _, pha in pictures]),
        pts=tuple(1001 * i for i in range(len(pictures))),
    )


def test_what_shows_is_not_touched() -> None:
    fgr, pha = person()
    bled = bleed_edges(fgr, pha)
    assert np.array_equal(bled[pha > 0], fgr[pha > 0])


def test_colour_beside_the_edge_is_the_person_s_and_flat_beyond() -> None:
    fgr, pha = person()
    bled = bleed_edges(fgr, pha)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(y - HEIGHT / 2, x - WIDTH / 2)
    outside = (pha == 0) & (distance < 60 + BLOCK_PIXELS)
    upper, lower = outside & (y < HEIGHT / 2 - 20), outside & (y > HEIGHT / 2 + 20)
    assert np.abs(bled[upper].astype(int) - (240, 180, 150)).max() <= 2
    assert np.abs(bled[lower].astype(int) - (60, 60, 230)).max() <= 2
    assert (bled[distance > 60 + 3 * BLOCK_PIXELS] == 0).all()


def yuv_at_every_pixel(fgr: UInt8Array, pha: UInt8Array) -> npt.NDArray[np.int64]:
    """Y, U and V of bled planes, [H,W,3]."""
    luma, *chroma = bleed_planes(fgr, pha)
    grown = [plane.repeat(2, axis=0).repeat(2, axis=1) for plane in chroma]
    return np.asarray(np.stack([luma, *grown], -1), np.int64)


def cells_with_some(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The same, grown to all four pixels that share their chroma."""
    height, width = mask.shape
    cells = mask.reshape(height // 2, 2, width // 2, 2).any(axis=(1, 3))
    grown: npt.NDArray[np.bool_] = cells.repeat(2, axis=0).repeat(2, axis=1)
    return grown


def test_what_shows_is_not_touched_in_planes() -> None:
    fgr, pha = person()
    i420 = packed(fgr)
    bled, (luma, chroma) = yuv_at_every_pixel(i420, pha), planes(i420)
    shows = pha > 0
    assert np.array_equal(bled[shows, 0], luma[shows])
    grown = chroma.repeat(2, axis=1).repeat(2, axis=2)
    assert np.array_equal(bled[cells_with_some(shows), 1:], grown[:, cells_with_some(shows)].T)


def test_planes_are_bled_as_rgb_is() -> None:
    fgr, pha = person()
    # Chroma of the source is shared by four pixels: here the same that RGB has.
    fgr, pha = (a[::2, ::2].repeat(2, axis=0).repeat(2, axis=1) for a in (fgr, pha))
    bled = yuv_at_every_pixel(packed(fgr), pha)
    expected = yuv_of(bleed_edges(fgr, pha), 1, full_range=False)
    assert np.abs(bled - expected).max() <= 1.5
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    far = np.hypot(y - HEIGHT / 2, x - WIDTH / 2) > 60 + 3 * BLOCK_PIXELS
    assert (bled[far] == (16, 128, 128)).all()


@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize("size", [(2, 2), (14, 18), (32, 48), (1080, 1920)])
def test_planes_without_an_edge(size: tuple[int, int], value: int) -> None:
    height, width = size
    fgr = np.full((height * 3 // 2, width), 77, np.uint8)
    luma, u, v = bleed_planes(fgr, np.full(size, value, np.uint8))
    assert luma.shape == size
    assert u.shape == v.shape == (height // 2, width // 2)
    assert (luma == (77 if value else 16)).all()
    assert all((plane == (77 if value else 128)).all() for plane in (u, v))


@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize("size", [(1, 1), (15, 17), (32, 48)])
def test_pictures_without_an_edge(size: tuple[int, int], value: int) -> None:
    fgr = np.full((*size, 3), 77, np.uint8)
    bled = bleed_edges(fgr, np.full(size, value, np.uint8))
    assert bled.shape == fgr.shape
    assert (bled == (77 if value else 0)).all()


def test_an_edge_between_two_blocks_lends_its_colour() -> None:
    fgr, pha = np.zeros((32, 64, 3), np.uint8), np.zeros((32, 64), np.uint8)
    fgr[:, :32], pha[:, :32] = (10, 200, 90), 255
    bled = bleed_edges(fgr, pha)
    assert (bled[:, 32:48] == (10, 200, 90)).all()
    assert (bled[:, 48:] == 0).all()


def shown(
    path: Path, output_type: OutputType, background: tuple[int, int, int]
) -> list[UInt8Array]:
    """The decoded frames over a background, as a player shows them."""
    frames = read_frames(path, decoder=DECODERS.get(output_type))
    if output_type is OutputType.ALPHA_HEVC:
        alphas = layer_frames(path, 1)
        return [
            composite(to_rgb(frame), plane_rows(alpha.planes[0])[:, :WIDTH], background)
            for frame, alpha in zip(frames, alphas, strict=True)
        ]
    return [
        composite(to_rgb(frame), np.rint(alpha_plane(frame)).astype(np.uint8), background)
        for frame in frames
    ]


def edge_errors(
    path: Path, output_type: OutputType, background: tuple[int, int, int]
) -> npt.NDArray[np.float64]:
    """How far each pixel of the edge, and just outside it, is from the model's own picture."""
    errors = []
    mattes = chunk()
    for seen, fgr, pha in zip(
        shown(path, output_type, background), mattes.fgr, mattes.pha, strict=True
    ):
        expected = composite(fgr, pha, background)
        # Where the picture has one colour, so that only the edge can be wrong.
        edge = pha < 255
        edge[HEIGHT // 2 - 8 : HEIGHT // 2 + 8] = False
        errors.append(np.abs(seen.astype(float) - expected)[edge])
    return np.concatenate(errors)


LAYOUTS: dict[str, PixelLayout] = {"RGB": RGB, "planes": I420(yuv_to_rgb(1, full_range=False))}


@pytest.mark.parametrize("background", BACKGROUNDS.values(), ids=BACKGROUNDS)
@pytest.mark.parametrize(
    # With black or the wall's green under alpha 0 it is 13 in WebM and 2 in ProRes.
    ("output_type", "layout", "worst_levels"),
    [
        (OutputType.ALPHA, "RGB", 8),
        (OutputType.ALPHA, "planes", 8),
        (OutputType.ALPHA_PRORES, "RGB", 1),
        (OutputType.ALPHA_HEVC, "RGB", 8),
        (OutputType.ALPHA_HEVC, "planes", 8),
    ],
)
def test_no_halo_over_any_background(
    tmp_path: Path,
    output_type: OutputType,
    layout: str,
    worst_levels: float,
    background: tuple[int, int, int],
) -> None:
    path = tmp_path / f"out{output_type.suffix}"
    info = replace(video_info(WIDTH, HEIGHT), layout=LAYOUTS[layout])
    if layout == "planes":
        # Four pixels share their chroma: the person's colour has to reach as far.
        mattes = replace(chunk(), fgr=packed(chunk(beyond_pixels=3).fgr))
    else:
        mattes = chunk()
    with open_writer(path, MatteOptions(output_type), info) as writer:
        writer.write(mattes)
    errors = edge_errors(path, output_type, background)
    assert errors.mean() < 0.1
    assert errors.max() <= worst_levels
