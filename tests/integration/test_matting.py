"""The pipeline against the real model on a real Triton server, over gRPC."""

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.support.animations import read_animation
from tests.support.clips import alpha_plane, read_frames, write_clip
from tests.support.pngs import read_png_sequence

from rvm_client.errors import (
    InferenceError,
    InputError,
    OutputError,
    ServerUnreachableError,
    StoppedError,
)
from rvm_client.frames import SourceChunk
from rvm_client.matte import MattingModel
from rvm_client.options import Also, MatteOptions
from rvm_client.output_types import FileRole, OutputType
from rvm_client.pipeline import MatteProgress, matte_video
from rvm_client.pixels import UInt8Array
from rvm_export.verify.goldens import INT8_CASES

DECODERS = {OutputType.ALPHA: "libvpx-vp9"}


@pytest.fixture(scope="module")
def portrait() -> UInt8Array:
    """Real frames of a person, [T,H,W,3]."""
    return INT8_CASES[0].src


@pytest.fixture
def model(triton_url: str) -> Iterator[MattingModel]:
    with MattingModel(triton_url) as connection:
        yield connection


def there_and_back(portrait: UInt8Array, path: Path) -> Path:
    """Sixteen frames, there and back again, at uneven times."""
    frames = [*portrait, *portrait[::-1]] * 2
    pts = [1001 * i + (400 if i % 3 == 1 else 0) for i in range(len(frames))]
    return write_clip(path, frames, pts=pts, rate=Fraction(30_000, 1001))


@pytest.fixture(scope="module")
def clip(portrait: UInt8Array, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The portrait as a clip."""
    return there_and_back(portrait, tmp_path_factory.mktemp("clips") / "portrait.mp4")


@pytest.fixture(scope="module")
def small_clip(portrait: UInt8Array, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same at half the size, for tests that do not look at the person."""
    path = tmp_path_factory.mktemp("clips") / "small.mp4"
    return there_and_back(np.ascontiguousarray(portrait[:, ::2, ::2]), path)


def matte_frames(
    model: MattingModel, frames: UInt8Array, frames_per_request: int, ratio: float
) -> tuple[UInt8Array, UInt8Array]:
    """fgr [T,H,W,3] and pha [T,H,W] of a whole video."""
    session = model.session(ratio)
    chunks = [
        session.matte(SourceChunk(part, tuple(range(len(part)))))
        for part in np.split(frames, range(frames_per_request, len(frames), frames_per_request))
    ]
    return np.concatenate([c.fgr for c in chunks]), np.concatenate([c.pha for c in chunks])


def levels_apart(a: UInt8Array, b: UInt8Array) -> npt.NDArray[np.int16]:
    difference: npt.NDArray[np.int16] = np.abs(a.astype(np.int16) - b.astype(np.int16))
    return difference


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_frames_per_request_do_not_change_the_result(
    model: MattingModel, portrait: UInt8Array, ratio: float
) -> None:
    frames = np.concatenate([portrait, portrait[::-1]])[:10, ::2, ::2].copy()
    by_one = matte_frames(model, frames, 1, ratio)
    for frames_per_request in (3, 8):
        for one, several in zip(
            by_one, matte_frames(model, frames, frames_per_request, ratio), strict=True
        ):
            # Sums in another order may round to the next level here and there.
            assert levels_apart(one, several).max() <= 1
            assert levels_apart(one, several).mean() < 0.01


def test_two_videos_on_one_server_do_not_disturb_each_other(
    model: MattingModel, portrait: UInt8Array
) -> None:
    other = portrait[::-1, :, ::-1].copy()
    alone = matte_frames(model, portrait, 1, 0.5), matte_frames(model, other, 1, 0.5)
    first, second = model.session(0.5), model.session(0.5)
    for index in range(len(portrait)):
        a = first.matte(SourceChunk(portrait[index : index + 1], (index,)))
        b = second.matte(SourceChunk(other[index : index + 1], (index,)))
        assert np.array_equal(a.pha[0], alone[0][1][index])
        assert np.array_equal(b.pha[0], alone[1][1][index])
        assert np.array_equal(a.fgr[0], alone[0][0][index])


def test_the_state_is_carried(model: MattingModel, portrait: UInt8Array) -> None:
    _, carried = matte_frames(model, portrait, 1, 0.5)
    _, alone = matte_frames(model, portrait[-1:], 1, 0.5)
    assert levels_apart(carried[-1], alone[0]).mean() > 0.1


@pytest.mark.parametrize("output_type", OutputType)
def test_a_video_comes_out_whole(
    model: MattingModel, small_clip: Path, tmp_path: Path, output_type: OutputType
) -> None:
    target, preview = tmp_path / f"out{output_type.suffix}", tmp_path / "preview.jpg"
    seen: list[MatteProgress] = []
    options = MatteOptions(output_type=output_type, preview=preview)
    result = matte_video(small_clip, target, model, options, on_progress=seen.append)
    times_in = [frame.time for frame in read_frames(small_clip)]
    source = next(read_frames(small_clip))
    shape = (source.height, source.width)
    videos = {FileRole.OUTPUT, FileRole.MATTE, FileRole.HEVC}
    for path in (path for role, path in result.files.items() if role in videos):
        times, shapes = times_and_shapes(path, output_type)
        if output_type.facts.animation is None:
            assert times == pytest.approx(times_in, abs=0.0006)
        else:
            # Of 30 frames a second every second one.
            assert times == pytest.approx(times_in[::2], abs=0.0056)
        height, width = shape
        assert shapes == {(height * (2 if output_type.facts.is_stacked else 1), width)}
    with Image.open(preview) as image:
        assert image.size == shape[::-1]
    assert result.frames == 16
    assert result.bytes == sum(path.stat().st_size for path in result.files.values())
    assert result.downsample_ratio == 1.0
    assert (seen[-1].frames_done, seen[-1].frames_expected) == (16, 16)
    assert set(tmp_path.iterdir()) == set(result.files.values())
    assert result.files[FileRole.OUTPUT] == result.path == target
    has_matte = output_type is OutputType.FOREGROUND_AND_MATTE
    assert (result.files.get(FileRole.MATTE) is not None) == has_matte


def times_and_shapes(
    path: Path, output_type: OutputType
) -> tuple[list[float], set[tuple[int, int]]]:
    if output_type is OutputType.PNG_SEQUENCE:
        times, pictures = read_png_sequence(path)
        return times, {(picture.shape[0], picture.shape[1]) for picture in pictures}
    if output_type.facts.animation is not None:
        found = read_animation(path)
        return found.starts_seconds[:-1], {(p.shape[0], p.shape[1]) for p in found.pictures}
    frames = list(read_frames(path, decoder=DECODERS.get(output_type)))
    return [frame.time for frame in frames], {(f.height, f.width) for f in frames}


@pytest.mark.parametrize("output_type", [OutputType.ALPHA, OutputType.ALPHA_PRORES])
def test_the_alpha_of_the_file_is_the_model_s(
    model: MattingModel, clip: Path, tmp_path: Path, output_type: OutputType
) -> None:
    decoded = np.stack([f.to_ndarray(format="rgb24") for f in read_frames(clip)])
    _, reference = matte_frames(model, decoded.astype(np.uint8), 4, 0.5)
    target = tmp_path / f"out{output_type.suffix}"
    matte_video(clip, target, model, MatteOptions(output_type=output_type, downsample_ratio=0.5))
    frames = read_frames(target, decoder=DECODERS.get(output_type))
    differences = [
        np.abs(alpha_plane(frame) - expected).mean()
        for frame, expected in zip(frames, reference, strict=True)
    ]
    assert max(differences) < 2


def test_person_is_opaque_and_background_transparent(
    model: MattingModel, clip: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.webm"
    matte_video(clip, target, model, MatteOptions(OutputType.ALPHA))
    *_, last = read_frames(target, decoder="libvpx-vp9")
    alpha = alpha_plane(last)
    height, width = alpha.shape
    assert alpha[height // 2 :, width * 2 // 5 : width // 2].mean() > 250
    assert alpha[: height // 4, -width // 6 :].mean() < 5


def test_a_cancelled_job_leaves_nothing(
    model: MattingModel, small_clip: Path, tmp_path: Path
) -> None:
    cancelled = threading.Event()
    with pytest.raises(StoppedError):
        matte_video(
            small_clip,
            tmp_path / "out.webm",
            model,
            MatteOptions(OutputType.ALPHA, frames_per_request=2),
            on_progress=lambda _: cancelled.set(),
            cancelled=cancelled,
        )
    assert list(tmp_path.iterdir()) == []
    assert not {"decode", "matte"} & {thread.name for thread in threading.enumerate()}


def test_a_source_that_ends_in_damage_leaves_nothing(
    model: MattingModel, small_clip: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(small_clip.read_bytes()[:2000])
    with pytest.raises(InputError):
        matte_video(broken, tmp_path / "out.webm", model, MatteOptions(OutputType.ALPHA))
    assert list(tmp_path.iterdir()) == [broken]


def test_no_server_is_a_clear_error(unused_port: int) -> None:
    with pytest.raises(
        ServerUnreachableError, match=f"no Triton server answers at .*{unused_port}"
    ):
        MattingModel(f"127.0.0.1:{unused_port}")


def test_a_refused_request_is_a_clear_error(model: MattingModel, portrait: UInt8Array) -> None:
    states = model.start_states()
    with pytest.raises(InferenceError, match="refused the request"):
        model.infer(portrait[np.newaxis, :1], states, 7.0)
    _, pha, _ = model.infer(portrait[np.newaxis, :1], states, 1.0)
    assert pha.shape == (1, 1, *portrait.shape[1:3], 1)


def packets(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux() if packet.size]


def test_several_results_of_one_inference(
    model: MattingModel, small_clip: Path, tmp_path: Path
) -> None:
    """Each is what a run of its own would have made; the frames were matted once."""
    also = Also(OutputType.ALPHA, tmp_path / "also.webm")
    zipped = Also(OutputType.PNG_SEQUENCE, tmp_path / "also.zip")
    options = MatteOptions(background=(200, 30, 40), also=(also, zipped))
    counted: list[int] = []
    result = matte_video(
        small_clip,
        tmp_path / "out.mp4",
        model,
        options,
        on_source=lambda chunk, _: counted.extend(chunk.pts),
    )
    alone = matte_video(
        small_clip, tmp_path / "alone.mp4", model, MatteOptions(background=(200, 30, 40))
    )
    matte_video(small_clip, tmp_path / "alone.webm", model, MatteOptions(OutputType.ALPHA))
    assert result.frames == len(counted) == 16
    assert set(result.also) == {OutputType.ALPHA, OutputType.PNG_SEQUENCE}
    assert result.also[OutputType.ALPHA] == {FileRole.OUTPUT: also.target}
    assert result.bytes == sum(p.stat().st_size for p in (result.path, also.target, zipped.target))
    assert (result.width_pixels, result.frames) == (alone.width_pixels, alone.frames)
    assert len(read_png_sequence(zipped.target)[1]) == 16
    for one, several in (("alone.webm", "also.webm"), ("alone.mp4", "out.mp4")):
        assert packets(tmp_path / one) == packets(tmp_path / several)


def test_no_result_is_left_where_one_cannot_be_written(
    model: MattingModel, small_clip: Path, tmp_path: Path
) -> None:
    options = MatteOptions(also=(Also(OutputType.ALPHA, tmp_path / "nowhere" / "also.webm"),))
    with pytest.raises(OutputError, match="there is no folder"):
        matte_video(small_clip, tmp_path / "out.mp4", model, options)
    assert not list(tmp_path.iterdir())
