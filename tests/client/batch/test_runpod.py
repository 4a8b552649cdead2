"""Jobs on a RunPod endpoint, against a stand-in for its API over real HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.support import http_faults as faults
from tests.support.commands import invoke
from tests.support.runpod_api import ENDPOINT, KEY, RunPodApiServer
from tests.support.s3_server import emptied_s3, running_moto

from rvm_client.batch import Item, Outcome, RunPod, RunPodApi, Status
from rvm_client.batch.runpod_job import job_input
from rvm_client.cli.batch import batch
from rvm_client.config import Settings
from rvm_client.errors import EndpointError, UsageError
from rvm_client.job import parse_job
from rvm_client.net import Backoff
from rvm_client.options import QUALITY_LONGEST_SIDE_PIXELS, MatteOptions
from rvm_client.output_types import FileRole, OutputType
from rvm_client.refinements import Refinements

QUICK = Backoff(attempts=1000, first_wait_s=0.01, longest_wait_s=0.02)
VIDEOS = [f"{letter}.mp4" for letter in "abcdef"]
FROM = "https://example.com/clips"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunPodApiServer]:
    monkeypatch.setattr("rvm_client.batch.runpod_api.BACKOFF", QUICK)
    monkeypatch.setattr("rvm_client.batch.runpod.POLLING", QUICK)
    results = {name: f"the matte of {name}".encode() for name in VIDEOS}
    with RunPodApiServer({**results, "preview.jpg": b"a picture"}) as running:
        yield running


@pytest.fixture
def rvm_batch(
    server: RunPodApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """The command in this process with the endpoint, in a folder of its own."""
    monkeypatch.setattr("rvm_client.cli.batch.share_one_heap", lambda: None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, **environment: str) -> Result:
        return invoke(batch, *arguments, "--runpod", ENDPOINT, **server.environment | environment)

    return run


def urls(*names: str) -> list[str]:
    return [f"{FROM}/{name}" for name in names or VIDEOS]


def report(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]


@dataclass
class Noted:
    """A Watcher that keeps what it is told."""

    moves: list[tuple[str, int, int | None, str]] = field(default_factory=list)

    def started(self, item: Item) -> None: ...
    def note(self, sentence: str) -> None: ...
    def moved(self, item: Item, done: int, expected: int | None, unit: str = "frames") -> None:
        self.moves.append((item.name, done, expected, unit))


def outcomes(
    server: RunPodApiServer, *names: str, away_s: float = 30.0, watcher: Noted | None = None
) -> list[Outcome]:
    """What becomes of the videos, by the engine alone; results stay in the store."""
    api = RunPodApi(f"{server.base_url}/v2", ENDPOINT, KEY, away_s)
    items = [Item(url, MatteOptions(), name=Path(url).stem) for url in urls(*names)]
    engine = RunPod(api, ENDPOINT, Settings(allow_private_addresses=True), None, 4, QUICK)
    with closing(engine.outcomes(deque(items), watcher or Noted())) as found:
        return list(found)


# --- what a job says


@pytest.mark.parametrize(
    "options",
    [
        MatteOptions(),
        MatteOptions(downsample_ratio=0.5, audio=False, warm_start=False, crf=20),
        MatteOptions(prefer_quality=True, longest_side_pixels=QUALITY_LONGEST_SIDE_PIXELS),
        MatteOptions(OutputType.ALPHA_PRORES, start_seconds=1.5, end_seconds=9),
        MatteOptions(max_width_pixels=640, max_height_pixels=360, background=(1, 2, 255)),
        MatteOptions(OutputType.FOREGROUND_AND_MATTE, bitrate_bits_per_second=1_000_000),
        MatteOptions(refinements=Refinements(source_type="green_screen")),
    ],
)
def test_a_job_says_what_the_options_say(options: MatteOptions, tmp_path: Path) -> None:
    job = parse_job(job_input(Item(f"{FROM}/a.mp4", options)))
    assert job.video_url == f"{FROM}/a.mp4"
    assert job.matte_options(tmp_path) == options


def test_the_better_network_is_what_best_means(tmp_path: Path) -> None:
    best = MatteOptions(
        model="resnet50", prefer_quality=True, longest_side_pixels=QUALITY_LONGEST_SIDE_PIXELS
    )
    job = parse_job(job_input(Item(f"{FROM}/a.mp4", best)))
    assert job.matte_options(tmp_path) == replace(best, or_default_model=True)


def test_a_job_has_the_url_of_the_background_and_a_preview() -> None:
    sky = "https://example.com/sky.png"
    item = Item(f"{FROM}/a.mp4", MatteOptions(background=Path()), background=sky, preview=True)
    job = parse_job(job_input(item))
    assert (job.background_url, job.preview) == (sky, True)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (Item("a.mp4", MatteOptions()), "a.mp4 is a file of this machine"),
        (
            Item(f"{FROM}/a.mp4", MatteOptions(background=Path()), background="sky.png"),
            "the background sky.png is a file of this machine",
        ),
        (Item(f"{FROM}/a.mp4", MatteOptions(frames_per_request=1)), "does not go with --runpod"),
        (Item(f"{FROM}/a.mp4", MatteOptions(model="resnet50")), "goes with prefer_quality only"),
    ],
)
def test_what_no_job_can_say_is_refused(item: Item, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        job_input(item)


# --- the endpoint


def test_results_are_collected_and_jobs_bounded(
    rvm_batch: Callable[..., Result], server: RunPodApiServer, tmp_path: Path
) -> None:
    run = rvm_batch(*urls(), "-o", "out", "--in-flight", 2, "--preview")
    assert run.exit_code == 0, run.output
    for name in VIDEOS:
        assert (tmp_path / "out" / name).read_text() == f"the matte of {name}"
    assert (tmp_path / "out" / "a.preview.jpg").read_bytes() == b"a picture"
    assert server.most_at_a_time == 2
    lines = report(tmp_path / "out")
    assert {(line["frames"], line["seconds"], line["model_version"]) for line in lines} == {
        (12, 2.5, "3")
    }
    shown = run.output + (tmp_path / "out" / "report.jsonl").read_text()
    assert KEY not in shown
    run = rvm_batch(*urls(), "-o", "out", "--json", "--preview")
    assert json.loads(run.stdout)["skipped"] == len(server.jobs) == len(VIDEOS)


def test_without_a_folder_the_report_has_the_urls(
    rvm_batch: Callable[..., Result], server: RunPodApiServer, tmp_path: Path
) -> None:
    run = rvm_batch(*urls("a.mp4"))
    assert run.exit_code == 0, run.output
    (line,) = report(tmp_path)
    assert line["output"] == server.url("/results/a.mp4?signature=x")
    assert [path.name for path in tmp_path.iterdir()] == ["report.jsonl"]


def test_results_go_on_into_a_bucket(
    rvm_batch: Callable[..., Result], server: RunPodApiServer, tmp_path: Path
) -> None:
    server.output = {"output_format": "webm"}
    with running_moto() as url, emptied_s3(url, "results") as client:
        keys = {"BUCKET_ACCESS_KEY_ID": "x", "BUCKET_SECRET_ACCESS_KEY": "x"}
        arguments = (*urls("a.mp4"), "-o", "s3://results/may", "--preview")
        flags = ("--output-type", "alpha_prores")
        run = rvm_batch(*arguments, *flags, BUCKET_ENDPOINT_URL=url, **keys)
        assert run.exit_code == 0, run.output
        found = client.list_objects_v2(Bucket="results")["Contents"]
        stored = client.get_object(Bucket="results", Key="may/a.mov.webm")
        assert stored["Body"].read() == b"the matte of a.mp4"
    # ProRes had no room there, and became a WebM.
    assert [entry["Key"] for entry in found] == ["may/a.mov.webm", "may/a.preview.jpg"]
    assert stored["ContentType"] == "video/webm"
    (line,) = report(tmp_path)
    assert line["output"] == "s3://results/may/a.mov.webm"
    # Nothing was sent along that opens the bucket, and nothing lies here.
    assert "BUCKET" not in json.dumps([job.input for job in server.jobs.values()])
    assert [path.name for path in tmp_path.iterdir()] == ["report.jsonl"]


def test_what_workers_say_of_their_work_is_shown(server: RunPodApiServer) -> None:
    noted = Noted()
    (outcome,) = outcomes(server, "a.mp4", watcher=noted)
    assert outcome.status is Status.DONE
    assert noted.moves == [("a", 50, 100, "%")]


def test_a_page_names_the_files_where_they_are_now(
    rvm_batch: Callable[..., Result], server: RunPodApiServer, tmp_path: Path
) -> None:
    stored = server.url("/results/a.mp4?signature=x")
    server.output = {"hevc_url": stored, "poster_url": stored, "html": "...", "width": 640}
    run = rvm_batch(*urls("a.mp4"), "-o", "out", "--output-type", "auto_web")
    assert run.exit_code == 0, run.output
    (line,) = report(tmp_path / "out")
    assert {Path(file).name for file in line["files"].values()} == {
        f"a.{suffix}" for suffix in ("webm", "mov", "webp", "html")
    }
    page = (tmp_path / "out" / "a.html").read_text()
    assert all(f'"a.{suffix}"' in page for suffix in ("webm", "mov", "webp"))
    assert "http" not in page


def test_a_result_of_another_type_says_so_in_its_name(
    rvm_batch: Callable[..., Result], server: RunPodApiServer, tmp_path: Path
) -> None:
    server.output = {"output_format": "webm", "note": "It was too large as ProRes."}
    assert rvm_batch(*urls("a.mp4"), "-o", "out", "--output-type", "alpha_prores").exit_code == 0
    (line,) = report(tmp_path / "out")
    assert line["output"] == "out/a.mov.webm"
    assert line["warnings"] == ["It was too large as ProRes."]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("the video has no frames", "the video has no frames"),
        (json.dumps({"error_message": "it broke", "hostname": "x"}), "it broke"),
    ],
)
def test_a_job_that_fails_is_one_failure(
    server: RunPodApiServer, error: str, sentence: str
) -> None:
    server.fates.of_videos = {"b.mp4": [error]}
    found = {outcome.item.name: outcome for outcome in outcomes(server, "a.mp4", "b.mp4", "c.mp4")}
    assert [found[name].status for name in "abc"] == [Status.DONE, Status.FAILED, Status.DONE]
    assert (found["b"].error_class, found["b"].error) == ("JobError", sentence)
    assert found["b"].seconds == 1.5


def test_a_lost_job_is_posted_again_but_not_for_ever(server: RunPodApiServer) -> None:
    server.fates.of_videos = {"a.mp4": ["lost"] * 2, "b.mp4": ["lost"] * 99}
    found = {outcome.item.name: outcome for outcome in outcomes(server, "a.mp4", "b.mp4")}
    assert found["a"].status is Status.DONE
    assert found["b"].error == "the endpoint lost the job 3 times"
    assert sorted(server.videos) == ["a.mp4"] * 3 + ["b.mp4"] * 3


def test_too_many_requests_are_waited_for_as_long_as_asked(server: RunPodApiServer) -> None:
    refusal = faults.status(429, {"Retry-After": "1"})
    server.answers(faults.usual(), refusal, faults.usual(), refusal, faults.usual())
    started_s = time.monotonic()
    (outcome,) = outcomes(server, "a.mp4")
    assert outcome.status is Status.DONE
    assert time.monotonic() - started_s >= 2.0
    assert len(server.jobs) == 1


def test_an_endpoint_that_goes_away_and_comes_back_is_waited_for(server: RunPodApiServer) -> None:
    away = [faults.status(502), faults.reset(), faults.raw(b""), faults.status(503)]
    server.answers(faults.usual(), *away, faults.usual(), *away, *away, faults.usual())
    found = outcomes(server, "a.mp4", "b.mp4")
    assert [outcome.status for outcome in found] == [Status.DONE] * 2


def test_an_endpoint_that_stays_away_ends_the_run(server: RunPodApiServer) -> None:
    server.answers(faults.usual(), faults.usual(), faults.status(503))
    with pytest.raises(EndpointError) as failure:
        outcomes(server, "a.mp4", "b.mp4", away_s=0.3)
    assert "answered 503" in str(failure.value) or "was away" in str(failure.value)


def test_a_result_that_cannot_be_fetched_is_one_failure(
    rvm_batch: Callable[..., Result], server: RunPodApiServer, tmp_path: Path
) -> None:
    server.output = {"output_url": "file:///etc/passwd"}
    assert rvm_batch(*urls("a.mp4"), "-o", "out").exit_code == 1
    (line,) = report(tmp_path / "out")
    assert line["error"] == "the URL must start with http:// or https://, got file:"


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "message"),
    [
        (("a.mp4",), {}, 2, "a.mp4 is a file of this machine"),
        ((*urls("a.mp4"), "-o", "s3:///x"), {}, 2, "names no bucket"),
        ((*urls("a.mp4"), "--triton-url", "x:1"), {}, 2, "are several places to matte"),
        (urls("a.mp4"), {"RUNPOD_API_KEY": ""}, 2, "set RUNPOD_API_KEY"),
        (urls("a.mp4"), {"RUNPOD_API_KEY": "wrong"}, 4, "answered 401 Unauthorized"),
        ((*urls("a.mp4"), "--runpod", "../x"), {}, 2, "'../x' is not the id of a RunPod endpoint"),
        ((*urls("a.mp4"), "--runpod", "other1"), {}, 4, "endpoint other1 does not exist"),
    ],
)
def test_what_cannot_be_begun_is_one_sentence(
    server: RunPodApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    status: int,
    message: str,
) -> None:
    monkeypatch.setattr("rvm_client.cli.batch.share_one_heap", lambda: None)
    monkeypatch.chdir(tmp_path)
    for name in ("BUCKET_ENDPOINT_URL", "BUCKET_ACCESS_KEY_ID", "BUCKET_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "https://s3.example.com")
    (tmp_path / "a.mp4").touch()
    variables = server.environment | environment
    run = invoke(batch, "--runpod", ENDPOINT, *arguments, **variables)
    assert run.exit_code == status, run.output
    assert message in run.stderr
    assert "wrong" not in run.output
    assert server.jobs == {}


def test_stopped_it_cancels_what_is_in_flight_and_the_next_run_goes_on(
    server: RunPodApiServer, rvm_batch: Callable[..., Result], tmp_path: Path
) -> None:
    server.fates.of_videos = {"a.mp4": ["done at once"]} | {name: ["stuck"] for name in VIDEOS[1:4]}
    command = [sys.executable, "-c", "from rvm_client.cli.batch import batch; batch()"]
    process = subprocess.Popen(
        [*command, *urls(), "-o", "out", "--runpod", ENDPOINT, "--in-flight", "3"],
        cwd=tmp_path,
        env={**os.environ, **server.environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        deadline_s = time.monotonic() + 30
        while not ((tmp_path / "out" / "a.mp4").exists() and len(server.jobs) == 4):
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    statuses = [job.status for job in server.jobs.values()]
    assert statuses == ["COMPLETED", "CANCELLED", "CANCELLED", "CANCELLED"]
    assert rvm_batch(*urls(), "-o", "out").exit_code == 0
    assert server.videos[4:] == VIDEOS[1:]


def test_a_key_is_in_no_message(server: RunPodApiServer) -> None:
    server.answers(faults.usual(), faults.raw(f"HTTP/1.1 {KEY}\r\n\r\n".encode()))
    with pytest.raises(EndpointError) as failure:
        outcomes(server, "a.mp4", away_s=0.2)
    chain: BaseException | None = failure.value
    while chain is not None:
        assert KEY not in str(chain)
        chain = chain.__cause__


def test_roles_of_a_result() -> None:
    item = Item(f"{FROM}/a.mp4", MatteOptions(OutputType.FOREGROUND_AND_MATTE), name="a")
    assert item.file_names == {FileRole.OUTPUT: "a.mp4", FileRole.MATTE: "a.matte.mp4"}
    web = Item(f"{FROM}/a.mp4", MatteOptions(OutputType.AUTO_WEB), name="a", preview=True)
    assert web.file_names == {
        FileRole.OUTPUT: "a.webm",
        FileRole.HEVC: "a.mov",
        FileRole.POSTER: "a.webp",
        FileRole.PAGE: "a.html",
        FileRole.PREVIEW: "a.preview.jpg",
    }
