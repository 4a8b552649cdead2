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
# A whole number of requests of either size.
FRAMES = 8


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClipServer]:
    folder = tmp_path_factory.mktemp("clips")
    for name, size in SIZES.items():
        write_clip(folder / f"{name}.mp4", [index_frame(i, *size) for i in range(FRAMES)])
    with ClipServer(folder) as server:
        yield server


@pytest.mark.parametrize("jobs_at_once", [1, 2])
def test_what_jobs_send_was_sent_before(
    clips: ClipServer, cloudinary: CloudinaryServer, tmp_path: Path, jobs_at_once: int
) -> None:
    with GpuServer(planes=True) as server:
        environment = settings(server.url, tmp_path / "tmp")
        environment["RVM_JOBS_AT_ONCE"] = str(jobs_at_once)
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
