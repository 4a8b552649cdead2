"""The RunPod worker as RunPod runs it: a process, its protocol, a real Triton, real stores.

Most tests send jobs to one worker, as RunPod does; each has job ids of its own.
"""

import ast
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from moto.server import ThreadedMotoServer
from PIL import Image
from tests.support import http_faults as faults
from tests.support.clip_server import ClipServer
from tests.support.clips import alpha_plane, index_frame, read_frames, to_rgb, write_clip
from tests.support.cloudinary_server import CloudinaryServer
from tests.support.gpu_server import GpuServer
from tests.support.pngs import read_png_sequence
from tests.support.processes import client_segments
from tests.support.put_server import PutServer
from tests.support.runpod_server import RunPodServer

from rvm_client.config import Settings
from rvm_client.download import DownloadLimits
from rvm_client.job import parse_job
from rvm_client.matte import MattingModel
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline import matte_video
from rvm_client.upload import choose_store
from rvm_client.web_video import WebVideo
from rvm_client.worker.run import JobContext, JobReport, run_job
from rvm_export.verify.goldens import INT8_CASES

FRAMES = 12
SKY = (40, 120, 220)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClipServer]:
    """An HTTP server with a short clip and a long one."""
    folder = tmp_path_factory.mktemp("clips")
    portrait = INT8_CASES[0].src
    write_clip(folder / "short.mp4", [*portrait, *portrait[::-1], *portrait])
    write_clip(folder / "tiny.mp4", [index_frame(i) for i in range(3)])
    write_clip(folder / "long.mp4", [index_frame(i, 640, 360) for i in range(300)])
    (folder / "notes.mp4").write_text("not a video")
    Image.new("RGB", (300, 300), SKY).save(folder / "sky.png")
    with ClipServer(folder) as server:
        yield server


@pytest.fixture(scope="module")
def cloudinary() -> Iterator[CloudinaryServer]:
    with CloudinaryServer() as server:
        yield server


def settings(triton_url: str, temporary: Path) -> dict[str, str]:
    """What every worker of these tests has set; the stores come on top."""
    temporary.mkdir()
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("CLOUDINARY", "BUCKET"))}
    return {
        **keep,
        "RVM_TRITON_URL": triton_url,
        "RVM_RECONNECT_TIMEOUT_S": "1",
        "RVM_ALLOW_PRIVATE_ADDRESSES": "true",
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def environment(triton_url: str, tmp_path: Path) -> dict[str, str]:
    """For a worker of one test."""
    return settings(triton_url, tmp_path / "tmp")


@contextmanager
def worker(
    environment: dict[str, str], *arguments: str, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker process, ended at the end. Its output goes to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "rvm_client.worker", *arguments],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def store(cloudinary: CloudinaryServer) -> dict[str, str]:
    return {"CLOUDINARY_URL": cloudinary.cloudinary_url}


@dataclass(frozen=True)
class Endpoint:
    """RunPod's side, and its worker."""

    runpod: RunPodServer
    pid: int
    temporary: Path
    log_file: Path

    @property
    def log(self) -> str:
        """All that the worker has printed."""
        return self.log_file.read_text()

    def result(self, job_id: str, s3_config: Any = None, **job_input: Any) -> dict[str, Any]:
        """Submit one job and wait for its result."""
        self.runpod.submit(job_id, job_input, s3Config=s3_config)
        return self.runpod.wait_for_result(job_id)

    def output(self, job_id: str, s3_config: Any = None, **job_input: Any) -> dict[str, Any]:
        """As `result`, for a job that succeeds."""
        result = self.result(job_id, s3_config, **job_input)
        assert "error" not in result
        return dict(result["output"])


@contextmanager
def endpoint(
    environment: dict[str, str], cloudinary: CloudinaryServer, log: Path
) -> Iterator[tuple[Endpoint, "subprocess.Popen[bytes]"]]:
    """A worker that uploads to Cloudinary."""
    with RunPodServer() as runpod:
        complete = environment | runpod.environment | store(cloudinary)
        with worker(complete, log=log) as process:
            yield Endpoint(runpod, process.pid, Path(environment["TMPDIR"]), log), process


@pytest.fixture(scope="module")
def shared(
    triton_url: str, cloudinary: CloudinaryServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    """A worker that goes on for the next test."""
    folder = tmp_path_factory.mktemp("worker")
    environment = settings(triton_url, folder / "tmp")
    with endpoint(environment, cloudinary, folder / "worker.log") as (running, _):
        yield running


def stored_file(url: str, tmp_path: Path) -> Path:
    """What Cloudinary serves at the URL of a result."""
    answer = requests.get(url, timeout=10)
    answer.raise_for_status()
    path = tmp_path / f"stored{Path(url).suffix}"
    path.write_bytes(answer.content)
    return path


def check_frames(path: Path, decoder: str | None = None) -> None:
    """Every frame is there, once, in order and at its time."""
    frames = list(read_frames(path, decoder=decoder))
    assert [frame.time for frame in frames] == pytest.approx(
        [i / 30 for i in range(FRAMES)], abs=0.0006
    )


def matted_here(triton_url: str, clips: ClipServer, tmp_path: Path) -> Path:
    """The same clip, matted without a worker, a download and an upload."""
    target = tmp_path / "here.webm"
    options = MatteOptions(OutputType.ALPHA, downsample_ratio=0.25)
    with MattingModel(triton_url) as model:
        matte_video(clips.folder / "short.mp4", target, model, options)
    return target


def check_same_pictures(path: Path, expected: Path, decoder: str) -> None:
    pairs = zip(
        read_frames(path, decoder=decoder), read_frames(expected, decoder=decoder), strict=True
    )
    for seen, right in pairs:
        assert np.array_equal(alpha_plane(seen), alpha_plane(right))
        assert np.array_equal(to_rgb(seen), to_rgb(right))


def test_a_job_from_url_to_url(
    shared: Endpoint, clips: ClipServer, triton_url: str, tmp_path: Path
) -> None:
    output = shared.output("whole", video_url=clips.url("short.mp4"), output_type="webm")
    path = stored_file(output["output_url"], tmp_path)
    check_frames(path, "libvpx-vp9")
    check_same_pictures(path, matted_here(triton_url, clips, tmp_path), "libvpx-vp9")
    assert output["bytes"] == path.stat().st_size
    assert output["output_format"] == "webm"
    assert (output["width"], output["height"], output["fps"]) == (512, 288, 30.0)
    assert (output["frames"], output["downsample_ratio"]) == (FRAMES, 0.25)
    assert output["duration"] == pytest.approx(FRAMES / 30)
    assert (output["model_version"], output["pixel_layout"]) == ("1", "RGB")
    # The latter on a machine with a GPU.
    assert output["video_decoder"] in ("h264", "h264_nvdec")
    assert output["video_encoder"] == "libvpx-vp9"
    assert set(output["seconds"]) >= {"download", "processing", "upload", "total"}
    assert "/rvm-output/" in output["output_url"]


def test_two_files_and_a_preview_have_a_url_each(
    shared: Endpoint, clips: ClipServer, tmp_path: Path
) -> None:
    output = shared.output(
        "files",
        video_url=clips.url("short.mp4"),
        output_type="foreground_and_matte",
        preview=True,
    )
    urls = [output[name] for name in ("output_url", "matte_url", "preview_url")]
    assert len(set(urls)) == 3
    for url in urls[:2]:
        check_frames(stored_file(url, tmp_path))
    assert output["bytes"] == len(requests.get(urls[0], timeout=10).content)
    with Image.open(io.BytesIO(requests.get(urls[2], timeout=10).content)) as preview:
        assert (preview.format, preview.size) == ("JPEG", (output["width"], output["height"]))
    percents = [
        percent(str(message.body["output"]))
        for message in shared.runpod.messages("files")
        if message.is_progress and "Uploading" in str(message.body["output"])
    ]
    assert percents == sorted(percents)


def test_what_a_page_needs_is_stored_and_named_in_html(
    shared: Endpoint, clips: ClipServer, tmp_path: Path
) -> None:
    output = shared.output("web", video_url=clips.url("short.mp4"), output_type="auto_web")
    webm, hevc, poster = (output[f"{role}_url"] for role in ("output", "hevc", "poster"))
    assert "page_url" not in output
    assert output["output_format"] == "web"
    assert output["video_encoder"] == "libvpx-vp9, libx265"
    for url in (webm, hevc):
        check_frames(stored_file(url, tmp_path))
    with Image.open(io.BytesIO(requests.get(poster, timeout=10).content)) as picture:
        size = (output["width"], output["height"])
        assert (picture.format, picture.mode, picture.size) == ("WEBP", "RGBA", size)
    assert output["html"] == WebVideo(webm, hevc, poster, *size).element


def test_a_png_sequence_is_stored(shared: Endpoint, clips: ClipServer, tmp_path: Path) -> None:
    output = shared.output("png", video_url=clips.url("short.mp4"), output_type="png_sequence")
    assert output["output_url"].endswith(".zip")
    times, pictures = read_png_sequence(stored_file(output["output_url"], tmp_path))
    assert times == pytest.approx([i / 30 for i in range(FRAMES)], abs=0.0006)
    assert {picture.shape for picture in pictures} == {(288, 512, 4)}


def test_a_background_is_fetched_and_stands_behind_the_person(
    shared: Endpoint, clips: ClipServer, tmp_path: Path
) -> None:
    job = {"video_url": clips.url("short.mp4")}
    output = shared.output("background", **job, background=clips.url("sky.png"))
    path = stored_file(output["output_url"], tmp_path)
    check_frames(path)
    *_, last = read_frames(path)
    assert np.abs(to_rgb(last)[:40, -60:].reshape(-1, 3).mean(axis=0) - SKY).max() < 8
    failed = shared.result("no-background", **job, background=clips.url("notes.mp4"))
    assert "background" in failed["error"]


def test_progress_is_ordered_throttled_and_never_after_the_result(
    shared: Endpoint, clips: ClipServer
) -> None:
    shared.output("long", video_url=clips.url("long.mp4"), end_seconds=4)
    shared.output("after-long", video_url=clips.url("short.mp4"))
    *progress, result = shared.runpod.messages("long")
    assert not result.is_progress
    assert all(message.is_progress for message in progress)
    texts = [message.body["output"] for message in progress]
    stages = ["Downloading", "Processing", "Uploading to Cloudinary", "Done"]
    places = [(stages.index(text.split(" (")[0]), percent(text)) for text in texts]
    assert places == sorted(places)
    assert texts[0] == "Downloading (0%)"
    assert texts[-1] == "Done (100%)"
    assert len(texts) > 5
    times = [message.at_s for message in progress]
    for first, third in zip(times, times[2:], strict=False):
        assert third - first > 0.95


def percent(text: str) -> int:
    match = re.search(r"\((\d+)%\)", text)
    assert match is not None
    return int(match[1])


# One for each place: the fields (tests/client/worker/test_job.py has them all), the download, the
# video.
BAD_INPUTS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong-type": ({"video_url": "http://x/a.mp4", "output_type": "bmp"}, "output_type is 'bmp'"),
    "not-there": ({"video_url": "CLIPS/gone.mp4?token=hidden"}, "404"),
    "not-a-video": ({"video_url": "CLIPS/notes.mp4"}, "not a video"),
}


def test_failures_are_one_sentence_and_the_worker_goes_on(
    shared: Endpoint, clips: ClipServer
) -> None:
    for name, (job_input, message) in BAD_INPUTS.items():
        url = job_input["video_url"].replace("CLIPS", clips.base_url)
        result = shared.result(name, **(job_input | {"video_url": url}))
        assert set(result) == {"error"}
        assert message in result["error"]
        assert "Traceback" not in result["error"]
        assert "hidden" not in result["error"]
        assert "\n" not in result["error"]
    assert shared.output("good", video_url=clips.url("short.mp4"))["frames"] == FRAMES
    assert "hidden" not in shared.log
    assert "Traceback" not in shared.log


def test_private_addresses_are_refused_by_default(
    environment: dict[str, str], clips: ClipServer, tmp_path: Path
) -> None:
    del environment["RVM_ALLOW_PRIVATE_ADDRESSES"]
    environment["RVM_UPLOAD_FOLDER"] = str(tmp_path / "results")
    log = tmp_path / "worker.log"
    job = json.dumps({"input": {"video_url": clips.url("short.mp4")}})
    with worker(environment, "--test_input", job, log=log) as process:
        assert process.wait(120) == 1
    assert "127.0.0.1" in log.read_text()
    assert not any(path.is_file() for path in (tmp_path / "results").rglob("*"))


def test_a_cancelled_job_leaves_nothing(shared: Endpoint, clips: ClipServer) -> None:
    shared.runpod.submit("cancelled", {"video_url": clips.url("long.mp4")})
    shared.runpod.wait_for_progress("cancelled", "Processing (")
    shared.runpod.stop("cancelled")
    output = shared.output("after-cancelled", video_url=clips.url("short.mp4"))
    assert output["frames"] == FRAMES
    assert all(message.is_progress for message in shared.runpod.messages("cancelled"))
    assert list(shared.temporary.iterdir()) == []


def decoder_of(worker_pid: int) -> psutil.Process:
    """The only process of the worker, while it is at work on its only job."""
    (decoder,) = psutil.Process(worker_pid).children(recursive=True)
    return decoder


@pytest.mark.parametrize(
    ("number", "message"), [(signal.SIGSEGV, "ended by SIGSEGV"), (signal.SIGKILL, "SIGKILL")]
)
def test_a_decoder_that_dies_costs_its_own_job_only(
    shared: Endpoint, clips: ClipServer, number: signal.Signals, message: str
) -> None:
    job_id = f"dies-{number.name}"
    shared.runpod.submit(job_id, {"video_url": clips.url("long.mp4")})
    shared.runpod.wait_for_progress(job_id, "Processing (")
    decoder_of(shared.pid).send_signal(number)
    result = shared.runpod.wait_for_result(job_id)
    assert message in result["error"]
    assert "\n" not in result["error"]
    output = shared.output(f"after-{job_id}", video_url=clips.url("short.mp4"))
    assert output["frames"] == FRAMES
    assert list(shared.temporary.iterdir()) == []


def test_a_decoder_that_hangs_does_not_hold_up_the_end_of_a_job(
    shared: Endpoint, clips: ClipServer
) -> None:
    shared.runpod.submit("hangs", {"video_url": clips.url("long.mp4")})
    shared.runpod.wait_for_progress("hangs", "Processing (")
    decoder = decoder_of(shared.pid)
    decoder.suspend()
    shared.runpod.stop("hangs")
    output = shared.output("after-hangs", video_url=clips.url("short.mp4"))
    assert output["frames"] == FRAMES
    assert not decoder.is_running()
    assert list(shared.temporary.iterdir()) == []


def test_a_decoder_knows_no_secret(shared: Endpoint, cloudinary: CloudinaryServer) -> None:
    secret = re.search(r":([^:@/]+)@", cloudinary.cloudinary_url)
    assert secret is not None
    environment = decoder_of(shared.pid).environ()
    assert not [value for value in environment.values() if secret[1] in value]
    assert not [name for name in environment if name.startswith(("CLOUDINARY", "RUNPOD", "RVM"))]


@pytest.mark.slow
def test_ten_jobs_in_a_row_leave_nothing_and_do_not_grow(
    shared: Endpoint, clips: ClipServer
) -> None:
    process = psutil.Process(shared.pid)
    sizes, threads, files = [], [], []
    for number in range(10):
        shared.output(f"row-{number}", video_url=clips.url("tiny.mp4"), warm_start=False)
        sizes.append(process.memory_info().rss)
        threads.append(process.num_threads())
        files.append(process.num_fds())
    # The one that waits for the next job.
    assert len(process.children(recursive=True)) == 1
    assert list(shared.temporary.iterdir()) == []
    assert client_segments(shared.pid) == []
    # The first jobs load libraries and fill pools; from then on nothing may be added.
    assert max(sizes[-3:]) < 1.1 * max(sizes[2:5])
    assert max(threads[-3:]) <= max(threads[2:5])
    assert max(files[-3:]) <= max(files[2:5])


def test_sigterm_lets_the_current_job_finish(
    environment: dict[str, str], clips: ClipServer, cloudinary: CloudinaryServer, tmp_path: Path
) -> None:
    with endpoint(environment, cloudinary, tmp_path / "worker.log") as (running, process):
        running.runpod.submit("job-1", {"video_url": clips.url("short.mp4")})
        running.runpod.wait_for_progress("job-1", "")
        process.send_signal(signal.SIGTERM)
        assert "output" in running.runpod.wait_for_result("job-1")
        assert process.wait(120) == 0
        assert list(running.temporary.iterdir()) == []


def test_a_worker_whose_gpu_is_lost_is_replaced(
    clips: ClipServer, cloudinary: CloudinaryServer, tmp_path: Path
) -> None:
    lost = "RuntimeError: CUDA error: an illegal memory access was encountered"
    with GpuServer() as server:
        environment = settings(server.url, tmp_path / "tmp")
        with endpoint(environment, cloudinary, tmp_path / "worker.log") as (running, _):
            assert running.runpod.asked.wait(60)
            server.failure = lost
            result = running.result("job-1", video_url=clips.url("short.mp4"))
    assert "CUDA error: an illegal memory access" in result["error"]
    # RunPod's name of what `refresh_worker` asks for.
    assert result["stopPod"] is True


@pytest.fixture(scope="module")
def local_api(
    triton_url: str, cloudinary: CloudinaryServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """RunPod's local API."""
    folder = tmp_path_factory.mktemp("local_api")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = settings(triton_url, folder / "tmp") | store(cloudinary)
    environment["CLOUDINARY_MAX_FILE_BYTES"] = "100000"
    arguments = ["--rp_serve_api", "--rp_api_port", str(port)]
    with worker(environment, *arguments, log=folder / "worker.log"):
        url = f"http://localhost:{port}"
        wait_until_it_answers(url)
        yield url


def wait_until_it_answers(url: str) -> None:
    session = requests.Session()
    retry = requests.adapters.Retry(total=12, connect=12, backoff_factor=0.1, backoff_max=2)
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    session.get(f"{url}/docs", timeout=10).raise_for_status()


def test_the_local_api_does_jobs(local_api: str, clips: ClipServer, tmp_path: Path) -> None:
    job = {"input": {"video_url": clips.url("short.mp4")}}
    answer = requests.post(f"{local_api}/runsync", json=job, timeout=120).json()
    assert answer["status"] == "COMPLETED"
    path = stored_file(answer["output"]["output_url"], tmp_path)
    check_frames(path)
    assert path.suffix == ".mp4"

    started = requests.post(f"{local_api}/run", json=job, timeout=10).json()
    status = requests.post(f"{local_api}/status/{started['id']}", timeout=120).json()
    assert status["output"]["frames"] == FRAMES

    failed = requests.post(f"{local_api}/runsync", json={"input": {"video_url": 7}}, timeout=10)
    assert failed.status_code == 200
    assert failed.json()["error"] == "video_url is 7; it must be an http or https URL"


def test_a_prores_file_that_is_too_large_comes_as_webm(
    local_api: str, clips: ClipServer, tmp_path: Path
) -> None:
    job = {"input": {"video_url": clips.url("short.mp4"), "output_type": "prores4444"}}
    output = requests.post(f"{local_api}/runsync", json=job, timeout=120).json()["output"]
    assert output["output_format"] == "webm"
    assert "encoded again as WebM" in output["note"]
    path = stored_file(output["output_url"], tmp_path)
    assert path.suffix == ".webm"
    check_frames(path, "libvpx-vp9")


def test_a_prores_file_that_fits_stays_prores(
    environment: dict[str, str], clips: ClipServer, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    environment["RVM_UPLOAD_FOLDER"] = str(results)
    job_input = {"video_url": clips.url("short.mp4"), "output_type": "prores"}
    log = tmp_path / "worker.log"
    arguments = ["--test_input", json.dumps({"input": job_input})]
    with worker(environment, *arguments, log=log) as process:
        assert process.wait(120) == 0, log.read_text()
    (path,) = [path for path in results.rglob("*") if path.is_file()]
    assert path.suffix == ".mov"
    check_frames(path)
    assert "'output_format': 'prores'" in log.read_text()


def done_here(
    environment: dict[str, str], job_input: dict[str, Any], tmp_path: Path
) -> dict[str, Any]:
    """The output of one job, as `--test_input` prints it."""
    log = tmp_path / "worker.log"
    arguments = ["--test_input", json.dumps({"input": job_input})]
    with worker(environment, *arguments, log=log) as process:
        assert process.wait(120) == 0, log.read_text()
    (line,) = [line for line in log.read_text().splitlines() if "Job result: " in line]
    result: dict[str, Any] = ast.literal_eval(line.partition("Job result: ")[2])
    return dict(result["output"])


@pytest.fixture
def s3_url() -> Iterator[str]:
    """S3, with a bucket "results"."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    requests.put(f"{url}/results", timeout=10).raise_for_status()
    yield url
    server.stop()


def s3_config(url: str) -> dict[str, str]:
    """A job's own bucket, as RunPod passes it on."""
    return {
        "accessId": "the-key-id",
        "accessSecret": "the-secret",
        "bucketName": "results",
        "endpointUrl": url,
    }


def test_a_result_in_an_s3_bucket_is_fetched_by_its_url(
    environment: dict[str, str], clips: ClipServer, s3_url: str, tmp_path: Path
) -> None:
    environment |= {
        "BUCKET_ENDPOINT_URL": s3_url,
        "BUCKET_ACCESS_KEY_ID": "the-key-id",
        "BUCKET_SECRET_ACCESS_KEY": "the-secret",
        "BUCKET_NAME": "results",
    }
    output = done_here(environment, {"video_url": clips.url("short.mp4")}, tmp_path)
    answer = requests.get(output["output_url"], timeout=10)
    stored = tmp_path / "stored.mp4"
    stored.write_bytes(answer.content)
    assert stored.stat().st_size == output["bytes"]
    check_frames(stored)
    assert "the-secret" not in (tmp_path / "worker.log").read_text()


def test_results_go_to_the_job_s_own_bucket(
    shared: Endpoint, clips: ClipServer, s3_url: str, tmp_path: Path
) -> None:
    job: dict[str, Any] = {"video_url": clips.url("short.mp4"), "preview": True}
    output = shared.output("bucket", s3_config(s3_url), **job)
    for name in ("output_url", "preview_url"):
        assert output[name].startswith(f"{s3_url}/results/rvm-output/")
    stored = tmp_path / "stored.mp4"
    stored.write_bytes(requests.get(output["output_url"], timeout=10).content)
    check_frames(stored)
    refused = shared.result("no-bucket", s3_config(s3_url) | {"bucketName": "gone"}, **job)
    assert "check s3Config.endpointUrl and s3Config.bucketName" in refused["error"]
    told = str([shared.runpod.messages(job_id) for job_id in ("bucket", "no-bucket")])
    assert "the-secret" not in told + shared.log
    # A presigned URL names the key that signed it.
    for name in ("output_url", "preview_url"):
        told = told.replace(output[name], "")
    assert "the-key-id" not in told + shared.log


def test_a_result_goes_to_the_job_s_own_upload_url(
    shared: Endpoint, clips: ClipServer, tmp_path: Path, unused_port: int
) -> None:
    """It comes before a bucket of the job's own, at which nobody answers here."""
    with PutServer() as target:
        output = shared.output(
            "put",
            s3_config(f"http://127.0.0.1:{unused_port}"),
            video_url=clips.url("short.mp4"),
            upload_url=target.upload_url("/results/a.mp4"),
        )
        stored = tmp_path / "stored.mp4"
        stored.write_bytes(target.stored["/results/a.mp4"].body)
        assert output["output_url"] == target.url("/results/a.mp4")
    check_frames(stored)
    assert target.signature not in shared.log


def test_a_store_that_failed_is_tried_once_more_after_a_pause(
    triton_url: str, clips: ClipServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rvm_client.worker.run._UPLOAD_PAUSE_S", 0.1)
    messages: list[str] = []
    with PutServer() as target:
        target.answers(faults.status(403), faults.usual())
        url = target.upload_url("/a.mp4")
        job = parse_job({"video_url": clips.url("short.mp4"), "upload_url": url})
        context = JobContext(
            open_model=partial(MattingModel, triton_url),
            store=choose_store(Settings(upload_folder=tmp_path)),
            download_limits=DownloadLimits(allow_private_addresses=True),
            limits=Limits(),
            upload_timeout_s=60.0,
            job_timeout_s=60.0,
        )
        output = run_job(job, context, JobReport(messages.append, threading.Event()))
        assert output["output_url"] == target.url("/a.mp4")
        assert len(target.requests) == 2
    assert "the upload URL failed; the upload is tried once more" in messages


@pytest.mark.parametrize("stage", ["download", "upload"])
def test_a_second_sigterm_ends_a_transfer_that_hangs(
    environment: dict[str, str],
    clips: ClipServer,
    cloudinary: CloudinaryServer,
    tmp_path: Path,
    stage: str,
) -> None:
    with (
        PutServer() as dead,
        endpoint(environment, cloudinary, tmp_path / "worker.log") as (running, process),
    ):
        dead.answers(faults.mute(deaf=True))
        job = {
            "video_url": dead.url("a.mp4") if stage == "download" else clips.url("short.mp4"),
            "upload_url": dead.upload_url("/out.mp4"),
        }
        running.runpod.submit("job-1", job)
        assert dead.arrived.wait(60)
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
        assert process.wait(5) == 137
        assert list(running.temporary.iterdir()) == []


def test_a_killed_worker_s_source_goes_with_the_next_start(
    environment: dict[str, str], cloudinary: CloudinaryServer, tmp_path: Path
) -> None:
    temporary = Path(environment["TMPDIR"])
    with PutServer() as slow:
        slow.answers(faults.silent(b"a part of the source"))
        with endpoint(environment, cloudinary, tmp_path / "one.log") as (running, process):
            running.runpod.submit("job-1", {"video_url": slow.url("a.mp4")})
            assert slow.arrived.wait(60)
            # A worker beside it takes nothing away; without a store it ends at once.
            with worker(environment, log=tmp_path / "beside.log") as beside:
                assert beside.wait(60) == 1
            assert list(temporary.glob("rvm-job-*/.source.*.part"))
            process.kill()
            process.wait()
    with worker(environment, log=tmp_path / "next.log") as after:
        assert after.wait(60) == 1
    assert list(temporary.iterdir()) == []


def test_without_a_store_the_worker_does_not_start(
    environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with worker(environment, log=log) as process:
        assert process.wait(60) == 1
    lines = log.read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: no store is set")
    assert "CLOUDINARY_URL" in lines[0]


def test_without_a_server_the_worker_does_not_start(
    environment: dict[str, str], tmp_path: Path, unused_port: int
) -> None:
    environment["RVM_UPLOAD_FOLDER"] = str(tmp_path)
    environment["RVM_TRITON_URL"] = f"127.0.0.1:{unused_port}"
    log = tmp_path / "worker.log"
    with worker(environment, log=log) as process:
        assert process.wait(60) == 1
    (line,) = log.read_text().splitlines()
    assert f"no Triton server answers at 127.0.0.1:{unused_port}" in line


def test_a_wrong_secret_stops_the_worker_at_its_fitness_check(
    environment: dict[str, str], cloudinary: CloudinaryServer, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    wrong = re.sub(r":[^:@/]+@", ":not-the-secret@", cloudinary.cloudinary_url)
    with RunPodServer() as runpod:
        complete = {**environment, **runpod.environment, "CLOUDINARY_URL": wrong}
        with worker(complete, log=log) as process:
            assert process.wait(60) == 1
    assert "Fitness check failed: check_store" in log.read_text()
    assert "not-the-secret" not in log.read_text()
