"""Animated WebP, AVIF and GIF: what another program finds in them, and their limits."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.client.encode.test_planar_frames import person
from tests.client.encode.test_writer import matte_chunk, video_info
from tests.support.animations import read_animation

from rvm_client.encode import open_writer
from rvm_client.errors import UsageError
from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import UInt8Array, composite

HEIGHT, WIDTH = 194, 322
KINDS = [kind for kind in OutputType if kind.facts.animation is not None]
# What may be wrong of a colour over a page, in levels: mean, and all but one in a thousand.
BOUNDS = {
    OutputType.ANIMATED_WEBP: (1.0, 16),
    OutputType.ANIMATED_AVIF: (1.0, 16),
    # A pixel is there or not, so the edge is wrong by half.
    OutputType.GIF: (4.5, 140),
}


def info_of(fps: int = 15, **changes: object) -> VideoInfo:
    info = replace(video_info(WIDTH, HEIGHT), average_fps=Fraction(fps))
    return replace(info, time_base=Fraction(1, 1000), **changes)  # type: ignore[arg-type]


def write(path: Path, info: VideoInfo, *chunks: MatteChunk) -> Path:
    (kind,) = [kind for kind in KINDS if kind.suffix == path.suffix]
    with open_writer(path, MatteOptions(kind), info) as writer:
        for chunk in chunks:
            writer.write(chunk)
    return path


def at(chunk: MatteChunk, times_ms: list[int]) -> MatteChunk:
    return replace(chunk, pts=tuple(times_ms))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_opens_again(tmp_path: Path, kind: OutputType) -> None:
    chunk = at(person(8), [1000 * i // 15 for i in range(8)])
    path = write(tmp_path / f"out{kind.suffix}", info_of(), chunk)
    found = read_animation(path)
    assert len(found.pictures) == 8
    assert found.loop == (None if kind is OutputType.ANIMATED_AVIF else 0)
    mean, most = BOUNDS[kind]
    for picture, fgr, pha in zip(found.pictures, chunk.fgr, chunk.pha, strict=True):
        assert picture.shape == (HEIGHT, WIDTH, 4)
        for behind in ((255, 0, 0), (0, 0, 255)):
            seen = composite(picture[..., :3].copy(), picture[..., 3].copy(), behind).astype(int)
            apart = np.abs(seen - composite(fgr, pha, behind))
            assert apart.mean() < mean
            assert np.quantile(apart, 0.999) <= most
        hard = pha if kind is not OutputType.GIF else np.where(pha < 128, 0, 255)
        assert np.abs(picture[..., 3].astype(int) - hard).mean() < 0.3
        # AVIF's alpha is compressed with loss, that of the others is not.
        assert picture[pha == 0, 3].max() <= (6 if kind is OutputType.ANIMATED_AVIF else 0)
        assert picture[pha == 255, 3].min() >= (249 if kind is OutputType.ANIMATED_AVIF else 255)
    assert list(tmp_path.iterdir()) == [path]


# Uneven, with a rest; the sums of rounded differences would be 20 ms off at the end.
TIMES_MS = [0, 77, 154, 231, 308, 1385, 1462, 1539]


@pytest.mark.parametrize("kind", KINDS)
def test_each_frame_shows_as_long_as_it_did(tmp_path: Path, kind: OutputType) -> None:
    chunk = at(person(8), TIMES_MS)
    found = read_animation(write(tmp_path / f"out{kind.suffix}", info_of(10), chunk))
    rounding_s = 0.005 if kind is OutputType.GIF else 0.0005
    starts = found.starts_seconds
    assert starts[:8] == pytest.approx([ms / 1000 for ms in TIMES_MS], abs=rounding_s + 1e-9)
    # By the rate: no frame comes after it.
    assert starts[8] - starts[7] == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("fps", "kind", "step"),
    [
        (25, OutputType.GIF, 2),
        (30, OutputType.GIF, 2),
        (60, OutputType.GIF, 4),
        (15, OutputType.GIF, 1),
        (60, OutputType.ANIMATED_WEBP, 3),
        (30, OutputType.ANIMATED_AVIF, 2),
        (24, OutputType.ANIMATED_AVIF, 2),
    ],
)
def test_of_too_many_frames_every_so_many_are_kept(
    tmp_path: Path, fps: int, kind: OutputType, step: int
) -> None:
    times_ms = [round(1000 * i / fps) for i in range(13)]
    path = write(tmp_path / f"out{kind.suffix}", info_of(fps), at(person(13), times_ms))
    starts = read_animation(path).starts_seconds
    assert starts[:-1] == pytest.approx([ms / 1000 for ms in times_ms[::step]], abs=0.0051)


def test_frames_that_follow_too_closely_are_left_out(tmp_path: Path) -> None:
    """A header may say anything of the rate."""
    path = write(tmp_path / "out.gif", info_of(1), at(person(50), [4 * i for i in range(50)]))
    assert len(read_animation(path).pictures) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_large_pictures_are_scaled_down(tmp_path: Path, kind: OutputType) -> None:
    """With square pixels, and the edge where it was."""
    chunk = at(matte_chunk(2, 1280, 720), [0, 100])
    chunk.pha[:, :, :640], chunk.pha[:, :, 640:] = 0, 255
    info = replace(
        info_of(), width_pixels=1280, height_pixels=720, sample_aspect_ratio=Fraction(3, 4)
    )
    path = write(tmp_path / f"out{kind.suffix}", info, chunk)
    side = kind.facts.animation.longest_side_pixels if kind.facts.animation else 0
    for picture in read_animation(path).pictures:
        assert picture.shape == (round(side * 0.75), side, 4)
        assert picture[:, : side // 2 - 4, 3].max() <= 2
        assert picture[:, side // 2 + 4 :, 3].min() >= 253


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_behind_does_not_come_into_the_edge(tmp_path: Path, kind: OutputType) -> None:
    """Grey where there is any of the person, the old green elsewhere; made half as large."""
    y, x = np.mgrid[:720, :1280]
    pha = np.clip((300 - np.hypot(y - 360, x - 640)) * 12, 0, 255).astype(np.uint8)
    fgr = np.where(pha[..., np.newaxis] > 0, 128, (0, 255, 0)).astype(np.uint8)
    chunk = MatteChunk(fgr[np.newaxis], pha[np.newaxis], (0,))
    info = replace(info_of(), width_pixels=1280, height_pixels=720)
    (picture,) = read_animation(write(tmp_path / f"out{kind.suffix}", info, chunk)).pictures
    seen = picture[picture[..., 3] > 8, :3].astype(int)
    assert np.abs(seen - 128).max() <= 24


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_video_is_refused_before_anything_is_made(tmp_path: Path, kind: OutputType) -> None:
    info = info_of(duration_seconds=61.0)
    writer = open_writer(tmp_path / f"out{kind.suffix}", MatteOptions(kind), info)
    with pytest.raises(UsageError, match=f"{kind.value} is at most 10 seconds .* has 61.0 seconds"):
        writer.__enter__()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_that_turns_out_long_leaves_nothing(tmp_path: Path, kind: OutputType) -> None:
    chunk = at(person(3), [0, 9_990, 10_000])
    with pytest.raises(UsageError, match="choose a part with start_seconds and end_seconds"):
        write(tmp_path / f"out{kind.suffix}", info_of(), chunk)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_next_frames_overwrite_is_kept(tmp_path: Path, kind: OutputType) -> None:
    """Frames in shared memory lie where later ones will lie."""
    chunk = at(person(4), [0, 100, 200, 300])
    fgr, pha = np.empty_like(chunk.fgr[:1]), np.empty_like(chunk.pha[:1])
    whole = write(tmp_path / f"whole{kind.suffix}", info_of(10), chunk)
    target = tmp_path / f"out{kind.suffix}"
    with open_writer(target, MatteOptions(kind), info_of(10)) as writer:
        for index, pts in enumerate(chunk.pts):
            fgr[0], pha[0] = chunk.fgr[index], chunk.pha[index]
            writer.write(MatteChunk(fgr, pha, (pts,)))
        fgr[:], pha[:] = 0, 0
    for seen, meant in zip(*(read_animation(p).pictures for p in (target, whole)), strict=True):
        assert np.array_equal(seen, meant)


def test_what_does_not_move_does_not_shimmer_in_a_gif(tmp_path: Path) -> None:
    """A still ramp beside something that moves: the pattern of its colours stays."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ramp = np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, (x + y) * 255 // (WIDTH + HEIGHT)], -1)
    fgr: UInt8Array = np.stack([ramp.astype(np.uint8)] * 6)
    for index, picture in enumerate(fgr):
        picture[:40, 10 * index : 10 * index + 60] = (250, 240, 60)
    pha: UInt8Array = np.full(fgr.shape[:3], 255, np.uint8)
    chunk = MatteChunk(fgr, pha, tuple(range(0, 600, 100)))
    pictures = read_animation(write(tmp_path / "out.gif", info_of(10), chunk)).pictures
    still = np.stack([picture[40:] for picture in pictures]).astype(int)
    assert np.abs(np.diff(still, axis=0)).max() == 0
    # Mixed of more colours than the palette has: in patches of 8x8 the mean is right.
    rows = (HEIGHT - 40) // 8 * 8
    patches = (still[0, :rows, :320, :3] - ramp[40 : 40 + rows, :320]).reshape(-1, 8, 40, 8, 3)
    assert np.abs(patches.mean(axis=(1, 3))).mean() < 4
