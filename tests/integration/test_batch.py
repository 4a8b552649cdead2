"""`rvm-batch` as a user runs it, against a real Triton server.

In this process, but for what only a process shows: signals, and what a killed one leaves behind.
"""

import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import requests
from click.testing import Result
from moto.server import ThreadedMotoServer
from PIL import Image
from tests.support.clip_server import ClipServer
from tests.support.clips import index_frame, read_frames, read_index, to_rgb, write_clip
from tests.support.commands import invoke
from tests.support.gpu_server import GpuServer
from tests.support.processes import processes_named

from rvm_client.cli.batch import batch
from rvm_client.server import TritonServer

PROGRAM = [sys.executable, "-c", "from rvm_client.cli.batch import batch; batch()"]
FRAMES = 6
# On x86-64; glibc has had a function for it since 2.30, but not Python.
SYS_TGKILL = 234
# The alpha of the tests' model is the source itself: over black its numbers can be read.
OVER_BLACK = ("--background", "black")


@pytest.fixture
def rvm_batch(
    monkeypatch: pytest.MonkeyPatch, echo_server: TritonServer, tmp_path: Path
) -> Callable[..., Result]:
    """The command in this process, in a folder of its own; its model's mattes are no matter."""
    monkeypatch.setattr("rvm_client.cli.batch.share_one_heap", lambda: None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, **environment: str) -> Result:
        return invoke(batch, *arguments, "--triton-url", echo_server.grpc_url, **environment)

    return run


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with two clips of the same name, a third one, and one that is no video."""
    folder = tmp_path / "clips"
    for index, name in enumerate(("a.mp4", "deep/a.mp4", "b.mp4")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, [index_frame(10 * index + i) for i in range(FRAMES)])
    (folder / "bad.mp4").write_text("no video")
    return folder


def report(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ended(path: Path, status: str = "done") -> list[str]:
    """The names of the sources with that status, in order."""
    return [Path(line["source"]).name for line in report(path) if line["status"] == status]


def first_index(path: Path) -> int:
    return read_index(to_rgb(next(read_frames(path))))


def test_a_folder_becomes_a_folder_and_the_next_run_does_what_failed(
    rvm_batch: Callable[..., Result], clips: Path, tmp_path: Path
) -> None:
    run = rvm_batch("clips", "-o", "out", *OVER_BLACK)
    assert run.exit_code == 1
    assert "failed: bad: clips/bad.mp4 is not a video" in run.stdout
    out = tmp_path / "out"
    names = ["b.mp4", "clips-a.mp4", "deep-a.mp4", "report.jsonl"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert [first_index(out / name) for name in names[:3]] == [20, 0, 10]
    failed = [line for line in report(out / "report.jsonl") if line["status"] == "failed"]
    assert [line["error_class"] for line in failed] == ["InputError"]
    write_clip(clips / "bad.mp4", [index_frame(30 + i) for i in range(FRAMES)])
    (out / "b.mp4").unlink()
    run = rvm_batch("clips", "-o", "out", *OVER_BLACK, "--json")
    assert run.exit_code == 0, run.output
    summary = json.loads(run.stdout)
    assert (summary["done"], summary["failed"], summary["skipped"]) == (2, 0, 2)
    assert [first_index(out / name) for name in ("bad.mp4", "b.mp4")] == [30, 20]


def test_other_options_another_source_or_a_lost_file_are_done_again(
    rvm_batch: Callable[..., Result], clips: Path, tmp_path: Path
) -> None:
    def done(*flags: object) -> list[str]:
        path = tmp_path / "out" / "report.jsonl"
        before = len(report(path)) if path.exists() else 0
        run = rvm_batch("clips/a.mp4", "clips/b.mp4", "-o", "out", *OVER_BLACK, *flags)
        assert run.exit_code == 0, run.output
        lines = report(path)[before:]
        return [Path(line["source"]).name for line in lines if line["status"] == "done"]

    assert done() == ["a.mp4", "b.mp4"]
    assert done() == []
    assert done("--crf", 30) == ["a.mp4", "b.mp4"]
    # What the first run made has been replaced.
    assert done() == ["a.mp4", "b.mp4"]
    write_clip(clips / "a.mp4", [index_frame(40 + i) for i in range(FRAMES)])
    assert done() == ["a.mp4"]
    assert first_index(tmp_path / "out" / "a.mp4") == 40


@pytest.mark.usefixtures("clips")
def test_rows_have_options_of_their_own(rvm_batch: Callable[..., Result], tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "sky.png")
    rows = ["source,output_type,max-width,preview,background", "clips/a.mp4,alpha,160,true,"]
    rows += ["clips/b.mp4,,,,sky.png", "clips/deep/../b.mp4,,,,red"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    assert rvm_batch("list.csv", "-o", "out", "--max-height", 96).exit_code == 0
    out = tmp_path / "out"
    assert {path.suffix for path in out.iterdir()} == {".webm", ".jpg", ".mp4", ".jsonl"}
    assert {(f.width, f.height) for f in read_frames(out / "a.webm")} == {(160, 96)}
    with Image.open(out / "a.preview.jpg") as picture:
        assert picture.size == (160, 96)
    # One source with two backgrounds is two items.
    assert len(list(out.glob("b-*.mp4"))) == 2


@pytest.mark.usefixtures("clips")
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"colour": 1}, "there is no option 'colour'; the options are output_type, background"),
        ({"crf": "high"}, "crf is 'high': 'high' is not a valid integer"),
        ({"crf": 99}, "crf is 99; it must be 10 to 40"),
        ({"audio": "perhaps"}, "audio is 'perhaps'"),
        ({"output_type": "bmp"}, "output_type is 'bmp'"),
        ({"background": "nocolour"}, "background is 'nocolour'"),
        ({"downsample_ratio": "half"}, "'half' is neither auto nor a number"),
        ({"frames_per_request": 0}, "0 frames a request"),
        ({"triton_url": "127.0.0.1:1"}, "there is no option 'triton_url'"),
    ],
)
def test_a_row_with_a_mistake_is_named_before_anything_is_done(
    rvm_batch: Callable[..., Result],
    tmp_path: Path,
    row: dict[str, object],
    message: str,
) -> None:
    good, bad = {"source": "clips/a.mp4"}, {"source": "clips/b.mp4", **row}
    (tmp_path / "list.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    run = rvm_batch("list.jsonl", "-o", "out")
    assert run.exit_code == 2
    assert run.stderr.startswith("error: list.jsonl, line 2: ")
    assert message in run.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("clips")
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("gone.mp4", "-o", "out"), 2, "there is no file or folder gone.mp4"),
        (("clips",), 2, "give the folder or the bucket for the results with -o"),
        (("clips", "-o", "ftp://example.com/out"), 2, "ftp:// cannot be written to"),
        (("clips", "-o", "s3:///out"), 2, "names no bucket"),
        (("clips", "-o", "s3://bucket/out"), 2, "set BUCKET_ENDPOINT_URL"),
        (("clips", "-o", "clips/b.mp4"), 5, "clips/b.mp4 cannot be made"),
        (("clips", "-o", "out", "--model", "resnet50"), 4, "has no model rvm_resnet50"),
    ],
)
def test_what_cannot_be_begun_is_one_sentence(
    rvm_batch: Callable[..., Result],
    arguments: tuple[object, ...],
    status: int,
    message: str,
) -> None:
    run = rvm_batch(*arguments)
    assert run.exit_code == status
    assert message in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_url_is_fetched_and_its_token_kept_secret(
    rvm_batch: Callable[..., Result], clips: Path, tmp_path: Path
) -> None:
    with ClipServer(clips) as web:
        url = web.url("/b.mp4?token=secret")
        gone = web.url("/gone.mp4")
        run = rvm_batch(url, gone, "-o", "out", *OVER_BLACK, RVM_ALLOW_PRIVATE_ADDRESSES="true")
    assert run.exit_code == 1
    assert first_index(tmp_path / "out" / "b.mp4") == 20
    (failed,) = [line for line in report(tmp_path / "out/report.jsonl") if line["error"]]
    assert failed["error_class"] == "DownloadError"
    assert "secret" not in (tmp_path / "out" / "report.jsonl").read_text() + run.output


@pytest.fixture
def bucket() -> Iterator[tuple[Any, str]]:
    """moto's S3 with an empty bucket, and its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    requests.post(f"{url}/moto-api/reset", timeout=10)
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    client.create_bucket(Bucket="results")
    yield client, url
    client.close()
    server.stop()


@pytest.mark.usefixtures("clips")
def test_a_bucket_takes_the_results(
    rvm_batch: Callable[..., Result], tmp_path: Path, bucket: tuple[Any, str]
) -> None:
    client, url = bucket
    keys = {"BUCKET_ACCESS_KEY_ID": "x", "BUCKET_SECRET_ACCESS_KEY": "x"}
    arguments = ("clips/a.mp4", "clips/b.mp4", "-o", "s3://results/may/1", "--preview", *OVER_BLACK)
    run = rvm_batch(*arguments, BUCKET_ENDPOINT_URL=url, **keys)
    assert run.exit_code == 0, run.output
    found = client.list_objects_v2(Bucket="results")["Contents"]
    names = ["a.mp4", "a.preview.jpg", "b.mp4", "b.preview.jpg"]
    assert [entry["Key"] for entry in found] == [f"may/1/{name}" for name in names]
    client.download_file("results", "may/1/b.mp4", str(tmp_path / "got.mp4"))
    assert first_index(tmp_path / "got.mp4") == 20
    outputs = [line["output"] for line in report(tmp_path / "report.jsonl")]
    assert outputs == ["s3://results/may/1/a.mp4", "s3://results/may/1/b.mp4"]
    run = rvm_batch(*arguments, "--json", BUCKET_ENDPOINT_URL=url, **keys)
    assert json.loads(run.stdout)["skipped"] == 2


STICKY = "CUDA error: an illegal memory access was encountered"


def test_a_video_that_no_server_survives_is_passed_but_not_two_in_a_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("rvm_client.cli.batch.share_one_heap", lambda: None)
    monkeypatch.chdir(tmp_path)
    names = ["bad1.mp4", "good1.mp4", "bad2.mp4", "bad3.mp4", "good2.mp4"]
    for name in names:
        count = 1 if name.startswith("good") else 2
        write_clip(tmp_path / name, [index_frame(i) for i in range(count)])
    flags = ("-o", "out", "--no-warm-start", "--frames-per-request", 2, "--json")
    # It takes requests of a frame, and is lost at any of more.
    with GpuServer(failure=STICKY, most_frames=1) as server:
        run = invoke(batch, *names, *flags, "--triton-url", server.url, RVM_JOBS_AT_ONCE="1")
    assert run.exit_code == 4
    assert "the Triton server was lost 2 times" in json.loads(run.stdout)["error"]
    path = tmp_path / "out" / "report.jsonl"
    assert ended(path) == ["good1.mp4"]
    assert ended(path, "failed") == ["bad1.mp4", "bad2.mp4"]


# --- as a process


def start(folder: Path, server: Path | str) -> "subprocess.Popen[str]":
    """A run over list.csv on a server's URL, or one of its own, known by a TMPDIR of its own."""
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [*PROGRAM, "list.csv", "-o", "out", "--no-warm-start", "--frames-per-request", "1"],
        cwd=folder,
        env={
            **os.environ,
            "RVM_TRITON_URL" if isinstance(server, str) else "RVM_MODEL_REPOSITORY": str(server),
            "TMPDIR": str(folder / "tmp"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.mark.usefixtures("clips")
def test_a_terminal_shows_all_videos_and_the_frames_of_each(
    tmp_path: Path, echo_server: TritonServer
) -> None:
    # Each request takes the tests' model a second, so that there is something to see.
    slowly = ("--downsample-ratio", "0.5", "--no-warm-start", "--frames-per-request", "3")
    sources = ("clips/b.mp4", "clips/bad.mp4")
    place = ("-o", "out", "--triton-url", echo_server.grpc_url)
    command = shlex.join([*PROGRAM, *sources, *place, *slowly])
    shown = subprocess.run(
        ["script", "--quiet", "--command", command, "/dev/null"],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm"},
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    for words in ("Videos", "2/2", f"3/{FRAMES}", "1 failed", "failed: bad"):
        assert words in shown


@pytest.fixture
def slow_in_the_middle(tmp_path: Path) -> Path:
    """A list of three clips, the second of which takes seconds."""
    for name, count in (("one", 1), ("slow", 9), ("three", 1)):
        write_clip(tmp_path / f"{name}.mp4", [index_frame(i) for i in range(count)])
    rows = ["source,downsample_ratio", "one.mp4,0.25", "slow.mp4,0.5", "three.mp4,0.25"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    return tmp_path


def signal_another_thread(pid: int, number: signal.Signals) -> None:
    """One that does not wake the main thread, as where it is just about to wait."""
    (tid, *_) = [thread.id for thread in psutil.Process(pid).threads() if thread.id != pid]
    assert ctypes.CDLL(None).syscall(SYS_TGKILL, pid, tid, number) == 0


@pytest.mark.parametrize(("stop", "own"), [(signal.SIGINT, False), (signal.SIGTERM, True)])
def test_stopped_in_the_middle_it_keeps_what_is_whole(
    slow_in_the_middle: Path,
    echo_repository: Path,
    echo_server: TritonServer,
    stop: signal.Signals,
    own: bool,
) -> None:
    """On a server of its own, which goes with it, and on one that somebody else keeps."""
    folder = slow_in_the_middle
    with start(folder, echo_repository if own else echo_server.grpc_url) as process:
        wait_for(lambda: bool([*folder.glob("out/.slow.*.part")]), process)
        if own:
            signal_another_thread(process.pid, stop)
        else:
            os.killpg(process.pid, stop)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + stop, errors
    assert errors.splitlines()[-1] == "error: stopped"
    assert "Traceback" not in errors
    assert ended(folder / "out" / "report.jsonl") == ["one.mp4"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["one.mp4", "report.jsonl"]
    assert processes_named("tritonserver", environment=str(folder / "tmp")) == []
    assert list((folder / "tmp").iterdir()) == []


def test_killed_in_the_middle_the_next_run_does_the_rest(
    slow_in_the_middle: Path, echo_server: TritonServer
) -> None:
    folder, url = slow_in_the_middle, echo_server.grpc_url
    with start(folder, url) as process:
        wait_for(lambda: bool([*folder.glob("out/.slow.*.part")]), process)
        process.kill()
        process.communicate(timeout=30)
    made = (folder / "out" / "one.mp4").stat().st_mtime_ns
    with start(folder, url) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    path = folder / "out" / "report.jsonl"
    assert ended(path) == ["one.mp4", "slow.mp4", "three.mp4"]
    assert ended(path, "skipped") == ["one.mp4"]
    assert (folder / "out" / "one.mp4").stat().st_mtime_ns == made
    names = ["one.mp4", "report.jsonl", "slow.mp4", "three.mp4"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == names
