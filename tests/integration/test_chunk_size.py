"""T follows from where the server runs the model, whatever codecs this machine has."""

from pathlib import Path

import pytest
from tests.support.clips import index_frame, write_clip
from tests.support.gpu_server import GpuServer

from rvm_client.machine import Hardware
from rvm_client.matte import MattingModel
from rvm_client.options import Limits, MatteOptions
from rvm_client.pipeline import matte_video
from rvm_client.pipeline import run as pipeline_run
from rvm_client.server import TritonServer

FRAMES = 12


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return write_clip(path, [index_frame(i, 1280, 720) for i in range(FRAMES)])


def with_video_engines(folder: Path) -> Limits:
    (folder / "nvidiactl").touch()
    return Limits(hardware=Hardware(folder))


def test_a_model_on_a_gpu_gets_more_frames_also_where_no_codec_runs_on_one(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_run, "shared_room_bytes", lambda _jobs_at_once: 2**34)
    options = MatteOptions(warm_start=False)
    with GpuServer() as server, MattingModel(server.url) as model:
        assert model.runs_on_gpu
        matte_video(clip, tmp_path / "out.mp4", model, options)
        assert server.frames == [8, 4]


def test_a_model_on_a_processor_gets_fewer_also_where_a_codec_runs_on_a_gpu(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, echo_server: TritonServer
) -> None:
    monkeypatch.setattr(pipeline_run, "shared_room_bytes", lambda _jobs_at_once: 2**34)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    progress: list[int] = []
    with MattingModel(echo_server.grpc_url) as model:
        assert not model.runs_on_gpu
        matte_video(
            clip,
            tmp_path / "out.mp4",
            model,
            MatteOptions(warm_start=False),
            with_video_engines(tmp_path),
            on_progress=lambda done: progress.append(done.frames_done),
        )
    assert progress == [4, 8, 12]


def test_a_job_whose_part_of_shared_memory_is_too_small_sends_messages(
    clip: Path, tmp_path: Path, echo_server: TritonServer
) -> None:
    options = MatteOptions(warm_start=False)
    with MattingModel(echo_server.grpc_url) as model:
        alone = matte_video(clip, tmp_path / "alone.mp4", model, options)
        limits = Limits(jobs_at_once=10**6)
        one_of_many = matte_video(clip, tmp_path / "many.mp4", model, options, limits)
    assert (alone.transport, one_of_many.transport) == ("shared memory", "gRPC")
