"""Whole jobs on a machine whose GPU does not do what it should."""

import logging
from pathlib import Path

import numpy as np
import pytest
from tests.support.clips import index_frame, read_frames, write_clip

from rvm_client import machine
from rvm_client.encode import VIDEO_FORMATS
from rvm_client.encode.formats import HardwareEncoder, VideoFormat
from rvm_client.machine import Hardware
from rvm_client.matte import MattingModel
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline import matte_video
from rvm_client.pixels import UInt8Array
from rvm_client.server import TritonServer

FRAMES = 24
OPTIONS = MatteOptions(frames_per_request=4, warm_start=False)

# Stands for a GPU: it begins, and gives up at pictures that need more bits than it may use.
GIVES_UP = VideoFormat(
    container="mov",
    codec="libx264",
    pix_fmt="yuv422p",
    needs_even_size=True,
    hardware=HardwareEncoder(
        codec="dnxhd",
        codec_options={"profile": "dnxhr_lb", "qmax": "4"},
        quality_options={},
        crf_option="qscale",
    ),
)


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Limits:
    """With a GPU, of which the driver knows nothing."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    folder = tmp_path / "dev"
    folder.mkdir()
    (folder / "nvidiactl").touch()
    return Limits(hardware=Hardware(folder))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Quiet pictures, then noise."""
    noise = np.random.default_rng(1)
    quiet: list[UInt8Array] = [index_frame(i) for i in range(FRAMES // 2)]
    busy = [noise.integers(0, 256, (192, 320, 3), np.uint8) for _ in range(FRAMES // 2)]
    return write_clip(tmp_path / "clip.mp4", quiet + busy)


def test_a_job_goes_on_where_the_gpu_does_not(
    clip: Path, tmp_path: Path, limits: Limits, echo_server: TritonServer
) -> None:
    with MattingModel(echo_server.grpc_url) as model:
        result = matte_video(clip, tmp_path / "out.mp4", model, OPTIONS, limits)
    assert (result.video_decoder, result.video_encoder) == ("h264", "libx264")
    assert result.frames == len(list(read_frames(result.path))) == FRAMES


def test_a_job_is_done_again_where_the_gpu_gives_up_on_the_way(
    clip: Path,
    tmp_path: Path,
    limits: Limits,
    echo_server: TritonServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(VIDEO_FORMATS, OutputType.GREENSCREEN, GIVES_UP)
    machine.say_once.cache_clear()
    progress = []
    with MattingModel(echo_server.grpc_url) as model:
        result = matte_video(
            clip,
            tmp_path / "out.mov",
            model,
            OPTIONS,
            limits,
            on_progress=lambda done: progress.append(done.frames_done),
        )
    assert result.video_encoder == "libx264"
    assert result.frames == len(list(read_frames(result.path))) == FRAMES
    # It began once more from the start, after it had come some way.
    assert progress.count(4) == 2
    assert progress[-1] == FRAMES
    with MattingModel(echo_server.grpc_url) as model:
        matte_video(clip, tmp_path / "another.mov", model, OPTIONS, limits)
    # A worker does many jobs, each in a folder of its own.
    again = [r for r in caplog.records if "matted again, with codecs in software" in r.message]
    assert [(r.levelno, "dnxhd failed" in r.message) for r in again] == [(logging.WARNING, True)]
    assert not list(tmp_path.glob(".*"))
