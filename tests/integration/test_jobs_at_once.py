"""Several jobs of one worker at a time: none of them notices the others."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.test_worker import (
    Endpoint,
    check_same_pictures,
    cloudinary,
    endpoint,
    environment,
    settings,
    stored_file,
)
from tests.support.clip_server import ClipServer
from tests.support.clips import write_clip
from tests.support.cloudinary_server import CloudinaryServer
from tests.support.gpu_server import GpuServer
from tests.support.http_faults import Exchange

from rvm_export.verify.goldens import INT8_CASES

__all__ = ["cloudinary", "environment"]

NAMES = ("a", "b")
AT_ONCE = {"RVM_JOBS_AT_ONCE": "2"}
WITHIN_S = 60.0
KILLED = 128 + signal.SIGKILL


class HeldClips(ClipServer):
    """Whoever fetches a file below /held waits until all are let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._changed = threading.Condition()
        self._waiting = 0

    def held_url(self, name: str) -> str:
        return self.url(f"held/{name}")

    def wait_for(self, count: int) -> None:
        """Until so many wait here at the same time."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._waiting == count, WITHIN_S)

    def let_go(self) -> None:
        with self._changed:
            self._waiting = 0
            self._changed.notify_all()

    def handle(self, exchange: Exchange) -> None:
        if exchange.request.path.startswith("/held/"):
            exchange.request.path = exchange.request.path.removeprefix("/held")
            with self._changed:
                self._waiting += 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting == 0, WITHIN_S)
        super().handle(exchange)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeldClips]:
    folder = tmp_path_factory.mktemp("clips")
    portrait = INT8_CASES[0].src
    write_clip(folder / "a.mp4", [*portrait, *portrait[::-1], *portrait])
    write_clip(folder / "b.mp4", [*portrait[:, :, ::-1], *portrait[::-1, ::-1]])
    (folder / "notes.mp4").write_text("not a video")
    with HeldClips(folder) as server:
        yield server


@pytest.fixture(scope="module")
def pair(
    triton_url: str, cloudinary: CloudinaryServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    """A worker that does two jobs at once, and goes on for the next test."""
    folder = tmp_path_factory.mktemp("worker")
    complete = settings(triton_url, folder / "tmp") | AT_ONCE
    with endpoint(complete, cloudinary, folder / "worker.log") as (running, _):
        yield running


def log_of(running: Endpoint, job_id: str) -> list[str]:
    """What the worker's log says of one job."""
    lines = [json.loads(line) for line in running.log.splitlines() if line.startswith("{")]
    return [line["message"] for line in lines if line["requestId"] == job_id]


def test_two_at_once_give_what_two_in_a_row_give(
    pair: Endpoint, clips: HeldClips, tmp_path: Path
) -> None:
    in_a_row = {
        name: pair.output(f"row-{name}", video_url=clips.url(f"{name}.mp4"), output_type="webm")
        for name in NAMES
    }
    for name in NAMES:
        job = {"video_url": clips.held_url(f"{name}.mp4"), "output_type": "webm"}
        pair.runpod.submit(f"pair-{name}", job)
    clips.wait_for(2)
    clips.let_go()
    for name in NAMES:
        at_once = pair.runpod.wait_for_result(f"pair-{name}")["output"]
        assert in_a_row[name]["bytes"] == at_once["bytes"]
        files = []
        for kind, output in (("row", in_a_row[name]), ("pair", at_once)):
            folder = tmp_path / f"{kind}-{name}"
            folder.mkdir()
            files.append(stored_file(output["output_url"], folder))
        check_same_pictures(files[1], files[0], "libvpx-vp9")

        *progress, _result = pair.runpod.messages(f"pair-{name}")
        texts = [message.body["output"] for message in progress]
        assert (texts[0], texts[-1]) == ("Downloading (0%)", "Done (100%)")
        frames = at_once["frames"]
        assert any(line.startswith(f"done: {frames} ") for line in log_of(pair, f"pair-{name}"))


def test_one_that_fails_leaves_the_other_alone(pair: Endpoint, clips: HeldClips) -> None:
    pair.runpod.submit("good", {"video_url": clips.held_url("a.mp4")})
    clips.wait_for(1)
    failed = pair.result("bad", video_url=clips.url("notes.mp4"))
    assert "not a video" in failed["error"]
    assert pair.runpod.messages("good")[-1].is_progress
    clips.let_go()
    assert pair.runpod.wait_for_result("good")["output"]["frames"] == 12
    assert all("failed" not in line for line in log_of(pair, "good"))


def test_one_that_is_cancelled_leaves_the_other_alone(pair: Endpoint, clips: HeldClips) -> None:
    for name in ("cancelled", "kept"):
        pair.runpod.submit(name, {"video_url": clips.held_url("a.mp4")})
    clips.wait_for(2)
    pair.runpod.stop("cancelled")
    deadline_s = time.monotonic() + WITHIN_S
    while "cancelled" not in log_of(pair, "cancelled") and time.monotonic() < deadline_s:
        time.sleep(0.05)
    clips.let_go()
    assert pair.runpod.wait_for_result("kept")["output"]["frames"] == 12
    assert all(message.is_progress for message in pair.runpod.messages("cancelled"))
    assert list(pair.temporary.iterdir()) == []


def test_the_first_signal_lets_both_finish(
    environment: dict[str, str], clips: HeldClips, cloudinary: CloudinaryServer, tmp_path: Path
) -> None:
    with endpoint(environment | AT_ONCE, cloudinary, tmp_path / "log") as (running, process):
        for name in NAMES:
            running.runpod.submit(name, {"video_url": clips.held_url(f"{name}.mp4")})
        clips.wait_for(2)
        process.send_signal(signal.SIGTERM)
        clips.let_go()
        for name in NAMES:
            assert running.runpod.wait_for_result(name)["output"]["frames"] > 0
        assert process.wait(WITHIN_S) == 0


def test_the_second_signal_stops_both_at_once(
    environment: dict[str, str], clips: HeldClips, cloudinary: CloudinaryServer, tmp_path: Path
) -> None:
    with endpoint(environment | AT_ONCE, cloudinary, tmp_path / "log") as (running, process):
        for name in NAMES:
            running.runpod.submit(name, {"video_url": clips.held_url(f"{name}.mp4")})
        clips.wait_for(2)
        process.send_signal(signal.SIGTERM)
        while "a second signal stops at once" not in running.log:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == KILLED
        clips.let_go()
        assert list(running.temporary.iterdir()) == []
        for name in NAMES:
            assert all(message.is_progress for message in running.runpod.messages(name))


def test_a_worker_that_is_to_be_replaced_ends_its_other_job_first(
    clips: HeldClips, cloudinary: CloudinaryServer, tmp_path: Path
) -> None:
    with GpuServer() as server:
        complete = settings(server.url, tmp_path / "tmp") | AT_ONCE
        with endpoint(complete, cloudinary, tmp_path / "log") as (running, _):
            running.runpod.submit("other", {"video_url": clips.held_url("a.mp4")})
            clips.wait_for(1)
            server.failure = "RuntimeError: CUDA error: an illegal memory access"
            running.runpod.submit("failing", {"video_url": clips.url("b.mp4")})
            while not any("failed" in line for line in log_of(running, "failing")):
                time.sleep(0.05)
            server.failure = None
            # Without the wait, the result would be on its way by now.
            time.sleep(0.5)
            assert all(message.is_progress for message in running.runpod.messages("failing"))
            clips.let_go()
            assert "output" in running.runpod.wait_for_result("other")
            assert running.runpod.wait_for_result("failing")["stopPod"] is True
            # What the stages warn of has the job's id, too.
            assert any("gRPC messages" in line for line in log_of(running, "other"))
