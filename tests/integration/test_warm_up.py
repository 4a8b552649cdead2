"""Before its first job, a worker sends the model on a GPU what its jobs will send."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.test_worker import cloudinary, endpoint, settings
from tests.support.clip_server import ClipServer
from tests.support.clips import index_frame, write_clip
from tests.support.cloudinary_server import CloudinaryServer
from tests.support.gpu_server import GpuServer

from rvm_client.wire import MODEL_NAME, YUV_MODEL_NAME

__all__ = ["cloudinary"]

SIZES = {"1080p": (1920, 1080), "720p": (1280, 720)}
# One whole request of each size.
FRAMES = {"1080p": 4, "720p": 8}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClipServer]:
    folder = tmp_path_factory.mktemp("clips")
    for name, size in SIZES.items():
        write_clip(folder / f"{name}.mp4", [index_frame(i, *size) for i in range(FRAMES[name])])
    with ClipServer(folder) as server:
        yield server


def test_what_jobs_send_was_sent_before(
    clips: ClipServer, cloudinary: CloudinaryServer, tmp_path: Path
) -> None:
    with GpuServer(planes=True) as server:
        environment = settings(server.url, tmp_path / "tmp")
        with endpoint(environment, cloudinary, tmp_path / "log") as (running, _):
            assert running.runpod.asked.wait(60)
            warmed = list(server.requests)
            for name in SIZES:
                job = {"video_url": clips.url(f"{name}.mp4"), "warm_start": False}
                # Planes, and RGB.
                assert running.output(f"{name}-planes", **job)["pixel_layout"] == "I420"
                job["output_type"] = "png_sequence"
                assert running.output(f"{name}-rgb", **job)["pixel_layout"] == "RGB"
    sent = server.requests[len(warmed) :]
    assert {request.model for request in sent} == {MODEL_NAME, YUV_MODEL_NAME}
    assert len({*sent}) == 2 * len(SIZES)
    for request in sent:
        assert warmed.count(request) >= 2


def test_where_it_does_not_fit_into_memory_jobs_go_on_with_fewer_frames(
    clips: ClipServer, cloudinary: CloudinaryServer, tmp_path: Path
) -> None:
    with GpuServer("RuntimeError: CUDA out of memory.", most_frames=1) as server:
        environment = settings(server.url, tmp_path / "tmp")
        with endpoint(environment, cloudinary, tmp_path / "log") as (running, _):
            output = running.output("job", video_url=clips.url("1080p.mp4"))
            assert "frames went to it one at a time" in output["warnings"][0]
            assert "CUDA out of memory" in running.log


def test_where_it_fails_no_jobs_are_taken(cloudinary: CloudinaryServer, tmp_path: Path) -> None:
    with GpuServer("RuntimeError: CUDA error: device-side assert triggered") as server:
        environment = settings(server.url, tmp_path / "tmp")
        with endpoint(environment, cloudinary, tmp_path / "log") as (running, process):
            assert process.wait(60) == 1
            last = running.log.splitlines()[-1]
            assert last.startswith("error: the GPU of the Triton server")
            assert not running.runpod.asked.is_set()
