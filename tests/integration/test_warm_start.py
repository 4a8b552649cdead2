"""Warm starts with the real model on a real Triton server."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.support.clips import alpha_plane, read_frames, write_clip

from rvm_client.frames import SourceChunk
from rvm_client.matte import MattingModel
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline import MatteProgress, MatteResult, matte_video
from rvm_client.pixels import UInt8Array
from rvm_client.scenes import with_warm_up
from rvm_client.stopwatch import Stopwatch
from rvm_export.verify.goldens import INT8_CASES

RATIO = 0.5
SCENE_FRAMES = 14


@pytest.fixture
def model(triton_url: str) -> Iterator[MattingModel]:
    with MattingModel(triton_url) as connection:
        yield connection


@pytest.fixture(scope="module")
def portrait() -> UInt8Array:
    """A person before a camera that sways, [T,H,W,3]."""
    picture = INT8_CASES[0].src[0]
    angles = np.linspace(0, 2 * np.pi, SCENE_FRAMES)
    offsets = [(round(16 + 15 * np.cos(a)), round(32 + 30 * np.sin(a))) for a in angles]
    return np.stack([picture[y : y + 256, x : x + 448] for y, x in offsets])


@pytest.fixture(scope="module")
def mirrored(portrait: UInt8Array) -> UInt8Array:
    """The same on the other side of the picture, in another light."""
    return np.asarray(portrait[:, :, ::-1] // 2, np.uint8, order="C")


def chunked(clip: UInt8Array, frames_per_chunk: int) -> Iterator[SourceChunk]:
    for start in range(0, len(clip), frames_per_chunk):
        src = clip[start : start + frames_per_chunk]
        yield SourceChunk(src, tuple(range(start, start + len(src))))


def matte(model: MattingModel, chunks: Iterable[SourceChunk]) -> UInt8Array:
    """Alpha, [T,H,W]."""
    mattes = model.session(RATIO).matte_all(chunks, Stopwatch())
    return np.concatenate([chunk.pha for chunk in mattes])


def warm(clip: UInt8Array, frames_per_chunk: int) -> Iterator[SourceChunk]:
    return with_warm_up(chunked(clip, frames_per_chunk), frames_per_chunk=frames_per_chunk)


def settled(model: MattingModel, clip: UInt8Array) -> UInt8Array:
    """Alpha where the model has seen the clip forth and back before."""
    before = np.concatenate([clip, clip[::-1]])
    return matte(model, chunked(np.concatenate([before, clip]), 7))[len(before) :]


def levels_apart(a: UInt8Array, b: UInt8Array) -> float:
    return float(np.abs(a.astype(np.int16) - b).mean())


def test_a_warm_start_is_nearer_to_a_settled_run(model: MattingModel, portrait: UInt8Array) -> None:
    reference = settled(model, portrait)
    cold = matte(model, chunked(portrait, 4))
    warmed = matte(model, warm(portrait, 4))
    assert len(warmed) == len(portrait)
    for frame in range(3):
        cold_error = levels_apart(cold[frame], reference[frame])
        assert levels_apart(warmed[frame], reference[frame]) < 0.7 * cold_error


def test_after_a_cut_the_old_scene_is_forgotten(
    model: MattingModel, portrait: UInt8Array, mirrored: UInt8Array
) -> None:
    clip = np.concatenate([portrait, mirrored])
    carried = matte(model, chunked(clip, 4))[len(portrait) :]
    warmed = matte(model, warm(clip, 4))[len(portrait) :]
    reference = settled(model, mirrored)
    assert levels_apart(warmed[0], reference[0]) < 0.5 * levels_apart(carried[0], reference[0])
    # Nothing of the old scene is left: the same as if the new one were a video of its own.
    alone = matte(model, warm(mirrored, 4))
    assert np.abs(warmed.astype(np.int16) - alone).max() <= 1


def test_frames_per_request_do_not_change_the_result(
    model: MattingModel, portrait: UInt8Array, mirrored: UInt8Array
) -> None:
    clip = np.concatenate([portrait, mirrored])[:, ::2, ::2].copy()
    by_one = matte(model, warm(clip, 1))
    for frames_per_chunk in (3, 8):
        several = matte(model, warm(clip, frames_per_chunk))
        difference = np.abs(by_one.astype(np.int16) - several)
        # Sums in another order may round to the next level here and there.
        assert difference.max() <= 1
        assert difference.mean() < 0.01


@pytest.fixture(scope="module")
def clip_with_cut(
    portrait: UInt8Array, mirrored: UInt8Array, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("clips") / "cut.mp4"
    return write_clip(path, [*portrait, *mirrored], rate=Fraction(25))


@pytest.mark.parametrize("warm_start", [True, False])
def test_the_video_keeps_its_frames_and_times(
    model: MattingModel, clip_with_cut: Path, tmp_path: Path, warm_start: bool
) -> None:
    seen: list[MatteProgress] = []
    options = MatteOptions(OutputType.ALPHA, RATIO, warm_start=warm_start)
    target = tmp_path / "out.webm"
    result = matte_video(clip_with_cut, target, model, options, on_progress=seen.append)
    expected = 2 * SCENE_FRAMES
    times_in = [frame.time for frame in read_frames(clip_with_cut)]
    times_out = [frame.time for frame in read_frames(target)]
    assert times_out == pytest.approx(times_in, abs=0.0006)
    assert [p.frames_done for p in seen] == sorted({p.frames_done for p in seen})
    assert seen[-1].frames_done == result.frames == len(times_out) == expected
    assert (result.cuts, result.warm_up_frames) == ((1, 24) if warm_start else (0, 0))


def test_a_warm_start_is_the_default(
    model: MattingModel, clip_with_cut: Path, tmp_path: Path
) -> None:
    def first_alpha(name: str, options: MatteOptions) -> tuple[MatteResult, UInt8Array]:
        target = tmp_path / name
        result = matte_video(clip_with_cut, target, model, options)
        frame = next(read_frames(target, decoder="libvpx-vp9"))
        return result, alpha_plane(frame).astype(np.uint8)

    decoded = np.stack([f.to_ndarray(format="rgb24") for f in read_frames(clip_with_cut)])
    reference = settled(model, decoded[:SCENE_FRAMES].astype(np.uint8))[0]
    by_default, warmed = first_alpha("a.webm", MatteOptions(OutputType.ALPHA, RATIO))
    _, cold = first_alpha("b.webm", MatteOptions(OutputType.ALPHA, RATIO, warm_start=False))
    assert by_default.cuts == 1
    assert levels_apart(warmed, reference) < levels_apart(cold, reference)


@pytest.mark.parametrize(
    ("start_seconds", "cuts", "warm_up_frames"),
    [
        pytest.param(0.4, 1, 10 + 12 + 12, id="few frames before: they and the start backwards"),
        pytest.param(0.8, 1, 15 + 12, id="a cut among the frames before the start"),
    ],
)
def test_a_trimmed_video_warms_up_on_what_is_before(
    model: MattingModel,
    clip_with_cut: Path,
    tmp_path: Path,
    start_seconds: float,
    cuts: int,
    warm_up_frames: int,
) -> None:
    options = MatteOptions(OutputType.ALPHA, RATIO, start_seconds=start_seconds)
    result = matte_video(clip_with_cut, tmp_path / "out.webm", model, options)
    frames = 2 * SCENE_FRAMES - round(start_seconds * 25)
    assert result.frames == len(list(read_frames(result.path))) == frames
    assert (result.cuts, result.warm_up_frames) == (cuts, warm_up_frames)
