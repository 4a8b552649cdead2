"""Sound through the whole pipeline, on a real Triton server with a model that takes no time."""

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from tests.support.clips import read_frames
from tests.support.sound import (
    Track,
    click_times,
    damage,
    flash_times,
    payloads,
    sound_span,
    write_sound_clip,
)

from rvm_client.matte import MattingModel
from rvm_client.options import MatteOptions
from rvm_client.output_types import FileRole, OutputType
from rvm_client.pipeline import matte_video
from rvm_client.server import TritonServer

WITH_SOUND = [
    OutputType.GREENSCREEN,
    OutputType.ALPHA,
    OutputType.ALPHA_PRORES,
    OutputType.ALPHA_HEVC,
    OutputType.FOREGROUND_AND_MATTE,
    OutputType.ALPHA_STACKED,
]
FRAME_SECONDS = 1 / 30


@pytest.fixture
def model(echo_server: TritonServer) -> Iterator[MattingModel]:
    with MattingModel(echo_server.grpc_url) as connection:
        yield connection


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sound_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", [Track()])


def kinds(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.type for stream in container.streams]


@pytest.mark.parametrize("output_type", WITH_SOUND)
def test_sound_is_kept_in_sync(
    model: MattingModel, clip: Path, tmp_path: Path, output_type: OutputType
) -> None:
    target = tmp_path / f"out{output_type.suffix}"
    result = matte_video(clip, target, model, MatteOptions(output_type))
    assert kinds(target) == ["video", "audio"]
    assert click_times(target) == pytest.approx(flash_times(target), abs=0.004)
    assert len(click_times(target)) == 2
    assert result.warnings == ()
    if output_type is not OutputType.ALPHA:
        assert payloads(target) == payloads(clip)


def test_the_matte_beside_a_foreground_has_no_sound(
    model: MattingModel, clip: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    result = matte_video(clip, target, model, MatteOptions(OutputType.FOREGROUND_AND_MATTE))
    assert kinds(result.files[FileRole.MATTE]) == ["video"]


def test_a_matte_alone_has_no_sound(model: MattingModel, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    matte_video(clip, target, model, MatteOptions(OutputType.MATTE))
    assert kinds(target) == ["video"]


def test_a_picture_sequence_has_no_trouble_with_sound(
    model: MattingModel, clip: Path, tmp_path: Path
) -> None:
    options = MatteOptions(OutputType.PNG_SEQUENCE, end_seconds=0.2)
    assert matte_video(clip, tmp_path / "out.zip", model, options).warnings == ()


@pytest.mark.parametrize("output_type", WITH_SOUND)
def test_sound_can_be_dropped(
    model: MattingModel, clip: Path, tmp_path: Path, output_type: OutputType
) -> None:
    target = tmp_path / f"out{output_type.suffix}"
    matte_video(clip, target, model, MatteOptions(output_type, audio=False))
    assert kinds(target) == ["video"]


@pytest.mark.parametrize("start_seconds", [None, 0.41, 1.0])
@pytest.mark.parametrize("first_frame_seconds", [0.0, 0.5])
@pytest.mark.parametrize("output_type", WITH_SOUND[:3])
def test_a_trimmed_part_keeps_its_sync(
    model: MattingModel,
    tmp_path: Path,
    output_type: OutputType,
    first_frame_seconds: float,
    start_seconds: float | None,
) -> None:
    """`start_seconds` counts from the first frame, wherever that is on the file's clock."""
    flashes = [first_frame_seconds + seconds for seconds in (0.5, 1.3, 1.8)]
    source = write_sound_clip(
        tmp_path / "source.mp4",
        [Track(clicks_seconds=tuple(flashes), end_seconds=2.0 + first_frame_seconds)],
        frame_times_seconds=[first_frame_seconds + i / 30 for i in range(60)],
        flashes_seconds=flashes,
    )
    target = tmp_path / f"out{output_type.suffix}"
    options = MatteOptions(output_type, start_seconds=start_seconds, end_seconds=1.6)
    result = matte_video(source, target, model, options)
    seen, heard = flash_times(target), click_times(target)
    assert len(seen) == (1 if start_seconds == 1.0 else 2)
    assert heard == pytest.approx(seen, abs=0.004)
    origin_seconds = first_frame_seconds if start_seconds is None else 0.0
    expected_end = origin_seconds + 1.6 - (start_seconds or 0)
    assert sound_span(target)[1] == pytest.approx(expected_end, abs=FRAME_SECONDS)
    assert result.warnings == ()


@pytest.mark.parametrize("output_type", WITH_SOUND[:3])
def test_broken_sound_never_fails_the_job(
    model: MattingModel, tmp_path: Path, output_type: OutputType
) -> None:
    source = write_sound_clip(tmp_path / "source.mp4", [Track()])
    damage(source, (-1, 9))
    target = tmp_path / f"out{output_type.suffix}"
    result = matte_video(source, target, model, MatteOptions(output_type))
    assert "the sound is left out" in result.warnings[0]
    assert kinds(target) == ["video"]
    assert len(list(read_frames(target))) == 60
