"""Files made of planes: the same that RGB pictures give."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.client.encode.test_outputs import rows_of
from tests.client.encode.test_writer import EXPECTED, video_info
from tests.support.clips import (
    alpha_plane,
    index_frame,
    packed,
    read_frames,
    to_rgb,
    write_clip,
)

from rvm_client.backdrop import open_backdrop
from rvm_client.encode import (
    Backdrop,
    matte_path,
    open_writer,
    planar_frames,
    rgb_frames,
    takes_planes,
)
from rvm_client.frames import MatteChunk, Picture, VideoInfo
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import GREEN, I420, Colour, UInt8Array, composite, yuv_to_rgb

WIDTH, HEIGHT = 322, 194
PLANAR_TYPES = [
    OutputType.GREENSCREEN,
    OutputType.ALPHA,
    OutputType.ALPHA_HEVC,
    OutputType.MATTE,
    OutputType.FOREGROUND_AND_MATTE,
    OutputType.ALPHA_STACKED,
]


def planar_info(pixel_shape: Fraction = Fraction(1)) -> VideoInfo:
    layout = I420(yuv_to_rgb(1, full_range=False))
    return replace(video_info(WIDTH, HEIGHT), layout=layout, sample_aspect_ratio=pixel_shape)


def person(count: int) -> MatteChunk:
    """A soft disc of soft colours that moves."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    fgr, pha = [], []
    for index in range(count):
        distance = np.hypot(y - 100, x - 150 - 4 * index)
        pha.append(np.clip((60 - distance) * 12, 0, 255).astype(np.uint8))
        colours = np.stack([90 + x // 3, 60 + y // 2, 200 - x // 4], -1)
        fgr.append(colours.astype(np.uint8))
    return MatteChunk(np.stack(fgr), np.stack(pha), tuple(1001 * i for i in range(count)))


def in_planes(chunk: MatteChunk) -> MatteChunk:
    return replace(chunk, fgr=packed(chunk.fgr))


def write(path: Path, options: MatteOptions, info: VideoInfo, chunk: MatteChunk) -> Path:
    with open_writer(path, options, info) as writer:
        writer.write(chunk)
    return path


@pytest.mark.parametrize("output_type", PLANAR_TYPES)
def test_the_file_is_that_of_rgb(tmp_path: Path, output_type: OutputType) -> None:
    options, chunk, suffix = MatteOptions(output_type), person(6), output_type.suffix
    usual = write(tmp_path / f"rgb{suffix}", options, video_info(WIDTH, HEIGHT), chunk)
    ours = write(tmp_path / f"yuv{suffix}", options, planar_info(), in_planes(chunk))
    assert_alike(ours, usual, output_type)
    if output_type is OutputType.FOREGROUND_AND_MATTE:
        assert_alike(matte_path(ours), matte_path(usual), OutputType.MATTE)


def assert_alike(ours: Path, usual: Path, output_type: OutputType) -> None:
    decoder = EXPECTED[output_type][2]
    pairs = list(zip(decoded(ours, decoder), decoded(usual, decoder), strict=True))
    assert pairs
    for a, b in pairs:
        assert (a.width, a.height, a.format.name) == (b.width, b.height, b.format.name)
        assert (a.time, a.color_range, a.colorspace) == (b.time, b.color_range, b.colorspace)
        assert (a.color_primaries, a.color_trc) == (b.color_primaries, b.color_trc)
        difference = np.abs(shown(a).astype(int) - shown(b))
        # Each was encoded by itself, so no single pixel says anything.
        assert difference.mean() < 1
        assert np.quantile(difference, 0.999) <= 8


def shown(frame: av.VideoFrame) -> UInt8Array:
    """Over grey where it has alpha."""
    if len(frame.format.components) < 4:
        return to_rgb(frame)
    alpha = np.rint(alpha_plane(frame)).astype(np.uint8)
    return composite(to_rgb(frame), alpha, (128, 128, 128))


def decoded(path: Path, decoder: str | None) -> Iterator[av.VideoFrame]:
    return read_frames(path, decoder=decoder)


@pytest.mark.parametrize("output_type", PLANAR_TYPES)
def test_planes_of_an_opaque_picture_are_not_touched(output_type: OutputType) -> None:
    rng = np.random.default_rng(0)
    fgr = rng.integers(16, 236, (HEIGHT * 3 // 2, WIDTH), np.uint8)
    pha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    with open_backdrop(GREEN, planar_info()) as backdrop:
        make_frame = planar_frames.frame_makers(backdrop)[output_type]
        frame = make_frame(Picture(fgr, pha, 0, 0.0))
    if output_type is OutputType.MATTE:
        assert (np.asarray(frame.to_ndarray())[:HEIGHT] == 235).all()
    else:
        shown = frame.reformat(format="yuv420p") if len(frame.planes) == 4 else frame
        (luma, u, v), height = (rows_of(plane) for plane in shown.planes), HEIGHT // 2
        seen = [luma[:HEIGHT], u[:height], v[:height]]
        assert np.array_equal(np.concatenate([p.ravel() for p in seen]), fgr.ravel())


def test_what_the_next_frame_overwrites_is_copied() -> None:
    """Frames in shared memory lie where later ones will lie."""
    chunk = in_planes(person(1))
    for output_type in PLANAR_TYPES:
        with open_backdrop(GREEN, planar_info()) as backdrop:
            make_frame = planar_frames.frame_makers(backdrop)[output_type]
            fgr, pha = chunk.fgr[0].copy(), chunk.pha[0].copy()
            frame = make_frame(Picture(fgr, pha, 0, 0.0))
            before = [bytes(plane) for plane in frame.planes]
            fgr[:], pha[:] = 0, 128
            assert [bytes(plane) for plane in frame.planes] == before


@contextmanager
def backdrops(folder: Path, kind: str) -> Iterator[tuple[Backdrop, Backdrop]]:
    """The same backdrop twice, as each of them plays once."""
    background: Colour | Path = (10, 200, 120)
    if kind == "image":
        background = folder / "image.png"
        y, x = np.mgrid[:100, :200]
        image = np.stack([x, y * 2, 255 - x], -1).astype(np.uint8)
        Image.fromarray(image).save(background)
    if kind == "video":
        pictures = [index_frame(i, 320, 192) for i in range(4)]
        background = write_clip(folder / "loop.mp4", pictures, rate=Fraction(10))
    info = video_info(WIDTH, HEIGHT)
    with open_backdrop(background, info) as one, open_backdrop(background, info) as other:
        yield one, other


@pytest.mark.parametrize("kind", ["colour", "image", "video"])
def test_every_background(tmp_path: Path, kind: str) -> None:
    chunk = person(12)
    green = OutputType.GREENSCREEN
    with backdrops(tmp_path, kind) as (one, other):
        make_ours = planar_frames.frame_makers(one)[green]
        make_usual = rgb_frames.frame_makers(other)[green]
        for index, (fgr, pha) in enumerate(zip(chunk.fgr, chunk.pha, strict=True)):
            seconds = index / 15
            usual = to_rgb(make_usual(Picture(fgr, pha, index, seconds))).astype(int)
            ours = to_rgb(make_ours(Picture(packed(fgr), pha, index, seconds)))
            assert np.abs(ours - usual).mean() < 1
            assert np.abs(ours - usual).max() <= 5


def test_a_colour_is_the_nearest_there_is() -> None:
    nothing = Picture(
        np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8), 0, 0.0
    )
    for colour in (GREEN, (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)):
        with open_backdrop(colour, planar_info()) as backdrop:
            frame = planar_frames.frame_makers(backdrop)[OutputType.GREENSCREEN](nothing)
        wanted: UInt8Array = np.full((HEIGHT, WIDTH, 3), colour, np.uint8)
        assert np.array_equal(frame.to_ndarray(), packed(wanted))


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    """WebM is scaled, as with RGB."""
    info = planar_info(Fraction(4, 3))
    path = write(tmp_path / "out.webm", MatteOptions(OutputType.ALPHA), info, in_planes(person(2)))
    shapes = {(f.width, f.height) for f in read_frames(path, decoder="libvpx-vp9")}
    assert shapes == {(round(WIDTH * 4 / 3), HEIGHT)}


def test_what_needs_rgb() -> None:
    fitting = {kind for kind in OutputType if takes_planes(MatteOptions(kind))}
    assert fitting == set(PLANAR_TYPES)
    assert not takes_planes(MatteOptions(OutputType.ALPHA, preview=Path("preview.png")))
