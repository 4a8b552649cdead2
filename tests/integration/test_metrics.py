"""What is seen of a worker from outside: one page of metrics, a dashboard, a job's id everywhere.

One worker with a Triton of its own does a few jobs, and most tests read what it left.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import psutil
import pytest
import requests
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, ConfigDict, Field
from tests.docs.pages import DOCS, blocks, codes, table
from tests.support.clip_server import ClipServer
from tests.support.clips import index_frame, write_clip
from tests.support.runpod_server import RunPodServer

import rvm_client

FRAMES = 12
WITHIN_S = 60.0
# RunPod's ids look like the first; nobody promises that all do.
JOB_ID = "0b1f3e5c-96d4-4a6c-9a53-5b6ab6e0a5f1-u1"
ODD_ID = 'odd \u00fc "id"'
DASHBOARD = DOCS / "grafana" / "rvm-triton.json"
# By NVIDIA's documentation of Triton's metrics: there is no GPU here, and the embedded server is
# built without them.
OF_A_GPU = {"nv_gpu_utilization", "nv_gpu_memory_used_bytes"}


@dataclass(frozen=True)
class Worker:
    """A running worker that has done its jobs, and what it told meanwhile."""

    process: psutil.Process
    url: str
    page: str
    log: str
    output: dict[str, Any]
    """Of the job JOB_ID."""

    @property
    def families(self) -> dict[str, Metric]:
        return {family.name: family for family in text_string_to_metric_families(self.page)}

    def now(self, name: str) -> float:
        """The only sample of that name on the page as it is now."""
        return value(requests.get(self.url, timeout=10).text, name)


def value(page: str, name: str, **labels: str) -> float:
    """The one sample with that name and these labels."""
    (found,) = [
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return float(found)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def environment(
    echo_repository: Path, backend_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("worker")
    (folder / "tmp").mkdir()
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("CLOUDINARY", "BUCKET"))}
    return keep | {
        "RVM_MODEL_REPOSITORY": str(echo_repository),
        "RVM_CACHE_DIR": str(backend_cache),
        "RVM_UPLOAD_FOLDER": str(folder / "results"),
        "RVM_ALLOW_PRIVATE_ADDRESSES": "true",
        "RVM_TRITON_LOG_VERBOSE": "1",
        "RVM_TRITON_HOST": "0.0.0.0",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(folder / "tmp"),
    }


@pytest.fixture(scope="module")
def worker(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("metrics")
    write_clip(folder / "clip.mp4", [index_frame(i) for i in range(FRAMES)])
    log = folder / "log"
    with ClipServer(folder) as clips, RunPodServer() as runpod, log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "rvm_client.worker"],
            env=environment | runpod.environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            clip = {"video_url": clips.url("clip.mp4")}
            runpod.submit("refused", clip | {"output_type": "bmp"})
            runpod.submit("gone", {"video_url": clips.url("gone.mp4")})
            runpod.submit(ODD_ID, clip)
            runpod.submit(JOB_ID, clip)
            output = runpod.wait_for_result(JOB_ID, WITHIN_S)["output"]
            (url,) = re.findall(r"metrics: (http://127\.0\.0\.1:\d+/metrics)", log.read_text())
            # Triton's log is copied a moment later.
            released = re.compile(rf"{JOB_ID}-\d+\] Setting state from EXECUTING to RELEASED")
            wait_for(lambda: released.search(log.read_text()) is not None)
            page = requests.get(url, timeout=10)
            page.raise_for_status()
            assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            yield Worker(psutil.Process(process.pid), url, page.text, log.read_text(), output)
        finally:
            process.terminate()
            process.wait(WITHIN_S)


def test_jobs_are_counted_by_how_they_end(worker: Worker) -> None:
    counts = {
        sample.labels["outcome"]: sample.value for sample in worker.families["rvm_jobs"].samples
    }
    assert {word: count for word, count in counts.items() if count} == {
        "done": 2,
        "refused": 1,
        "input": 1,
    }
    assert value(worker.page, "rvm_job_seconds_count") == 2
    assert value(worker.page, "rvm_jobs_in_progress") == 0
    assert value(worker.page, "rvm_jobs_waiting") == 0


def test_work_is_counted_by_stage_and_frame(worker: Worker) -> None:
    assert value(worker.page, "rvm_frames_total") == 2 * FRAMES
    for stage in ("download", "decode", "matte", "encode", "upload"):
        seconds = value(worker.page, "rvm_stage_seconds_total", stage=stage)
        assert seconds > worker.output["seconds"][stage]
    assert value(worker.page, "rvm_job_seconds_sum") > worker.output["seconds"]["total"]


def test_the_start_of_the_worker_is_there(worker: Worker) -> None:
    assert value(worker.page, "rvm_build_info", version=rvm_client.__version__) == 1
    assert value(worker.page, "rvm_server_restarts_total") == 0
    parts = {s.labels["part"]: s.value for s in worker.families["rvm_cold_start_seconds"].samples}
    (line,) = re.findall(r"to the first frame: (.*?);", worker.log)
    assert line == ", ".join(f"{part} {seconds:.2f}" for part, seconds in parts.items())


def test_its_triton_s_metrics_stand_on_the_same_page(worker: Worker) -> None:
    assert value(worker.page, "rvm_triton_up") == 1
    # The parser ends the names of counters like that.
    assert value(worker.page, "nv_inference_request_success_total", model="rvm_mobilenetv3") > 1
    names = [line.split()[2] for line in worker.page.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_no_address_and_no_job_is_on_the_page(worker: Worker) -> None:
    for secret in ("http", "clip.mp4", JOB_ID, "odd"):
        assert secret not in worker.page


def test_no_metrics_are_open_to_others_with_triton_s_endpoints(worker: Worker) -> None:
    processes = [worker.process, *worker.process.children(recursive=True)]
    addresses = [
        connection.laddr
        for process in processes
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    # gRPC; the page, Triton's metrics, and HTTP.
    assert sorted(address.ip == "127.0.0.1" for address in addresses) == [False] + [True] * 3


def test_the_page_s_names_are_documented(worker: Worker) -> None:
    rows = table(DOCS / "deploy.md", "metric", "type", "meaning")
    documented = {codes(row[0])[0]: row[1] for row in rows}
    told = {}
    for line in worker.page.splitlines():
        if line.startswith("# TYPE rvm_"):
            _, _, name, kind = line.split()
            told[name] = kind
    assert documented == told
    outcomes = {s.labels["outcome"] for s in worker.families["rvm_jobs"].samples}
    (row,) = [row for row in rows if "rvm_jobs_total" in row[0]]
    assert outcomes == {*codes(row[2])} - {"outcome"}


# --- one id from the job to Triton's log


def test_a_job_s_id_stands_in_the_worker_s_and_in_triton_s_log(worker: Worker) -> None:
    (done,) = [line for line in worker.log.splitlines() if "done: " in line and JOB_ID in line]
    for stage in ("download", "decode", "matte", "encode", "upload", "total"):
        assert f"'{stage}': " in done
    numbers = re.findall(
        rf"\[request id: {JOB_ID}-(\d+)\] Setting state from PENDING to EXECUTING", worker.log
    )
    assert numbers
    assert numbers == [str(number + 1) for number in range(len(numbers))]


def test_triton_s_lines_are_those_of_the_page(worker: Worker) -> None:
    (block,) = [block for block in blocks(DOCS / "deploy.md") if "request id: " in block.text]
    for line in block.text.splitlines():
        pattern = re.sub(r"\d+", r"\\d+", re.escape(line.replace("0b1f3e5c-96d4-u1", "ID")))
        assert re.search(f"^{pattern.replace('ID', JOB_ID)}$", worker.log, re.MULTILINE), line


def test_an_id_of_any_characters_is_one_word_in_triton_s_log(worker: Worker) -> None:
    assert "[request id: odd____id_-1] Setting state from PENDING to EXECUTING" in worker.log


# --- the dashboard


class Strict(BaseModel):
    """What is not named here is a mistake."""

    model_config = ConfigDict(extra="forbid")


class DataSource(Strict):
    type: Literal["prometheus"]
    uid: Literal["${datasource}"]


class Place(Strict):
    x: Annotated[int, Field(ge=0)]
    y: Annotated[int, Field(ge=0)]
    w: Annotated[int, Field(gt=0)]
    h: Annotated[int, Field(gt=0)]

    def cells(self) -> set[tuple[int, int]]:
        columns, rows = range(self.x, self.x + self.w), range(self.y, self.y + self.h)
        return {(column, row) for column in columns for row in rows}


class Target(Strict):
    datasource: DataSource
    refId: Annotated[str, Field(pattern="^[A-Z]$")]  # noqa: N815
    expr: str
    legendFormat: str = ""  # noqa: N815
    instant: bool = False


class Panel(Strict):
    id: int
    type: Literal["row", "stat", "timeseries", "bargauge"]
    title: Annotated[str, Field(min_length=1)]
    description: str = ""
    gridPos: Place  # noqa: N815
    datasource: DataSource | None = None
    targets: list[Target] = []
    fieldConfig: dict[str, Any] = {}  # noqa: N815
    options: dict[str, Any] = {}
    collapsed: bool = False
    panels: list[Any] = []


class Dashboard(BaseModel):
    """Grafana's fields that this one uses; it has many others."""

    uid: Annotated[str, Field(min_length=1, max_length=40)]
    title: str
    schemaVersion: Annotated[int, Field(ge=36)]  # noqa: N815
    panels: list[Panel]
    templating: dict[Literal["list"], list[dict[str, Any]]]
    id: None
    """Grafana gives it one of its own."""


@pytest.fixture(scope="module")
def dashboard() -> Dashboard:
    return Dashboard.model_validate_json(DASHBOARD.read_text())


def metrics_of(query: str) -> set[str]:
    """The metrics that a query of PromQL names: no functions, labels, variables nor durations."""
    query = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", query)
    query = re.sub(r"\b(by|without|on|ignoring|group_left)\s*\([^)]*\)", "", query)
    return {
        name
        for name in re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", query)
        if name not in ("and", "or", "unless")
    }


def test_metrics_of_a_query_are_found() -> None:
    query = 'sum by (le) (rate(a_total{instance=~"$x"}[5m])) / on (job) clamp_min(b, 1) or c'
    assert metrics_of(query) == {"a_total", "b", "c"}


def test_every_query_of_the_dashboard_finds_something(worker: Worker, dashboard: Dashboard) -> None:
    told = {re.split(r"[ {]", line)[0] for line in worker.page.splitlines()}
    queries = [target.expr for panel in dashboard.panels for target in panel.targets]
    (instances,) = [v for v in dashboard.templating["list"] if v["name"] == "instance"]
    queries += re.findall(r"label_values\((\w+), instance\)", instances["query"]["query"])
    used = set().union(*map(metrics_of, queries))
    assert used - OF_A_GPU <= told
    assert {name for name in used if name.startswith("rvm_")} > {"rvm_jobs_total"}
    assert {name for name in used if name.startswith("nv_inference")}
    for query in queries:
        variables = set(re.findall(r"\$(\w+)", query))
        assert variables <= {"instance", "__rate_interval", "__range"}


def test_the_dashboard_s_panels_have_their_own_place_and_id(dashboard: Dashboard) -> None:
    ids = [panel.id for panel in dashboard.panels]
    assert len(ids) == len(set(ids))
    cells = [cell for panel in dashboard.panels for cell in panel.gridPos.cells()]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < 24
    for panel in dashboard.panels:
        references = [target.refId for target in panel.targets]
        assert len(references) == len(set(references))
        assert bool(references) == (panel.type != "row")


def test_the_dashboard_asks_for_its_data_source(dashboard: Dashboard) -> None:
    (source,) = [v for v in dashboard.templating["list"] if v["type"] == "datasource"]
    assert (source["name"], source["query"]) == ("datasource", "prometheus")


# --- a worker that is in trouble; the last test here changes the worker


def test_a_port_in_use_is_one_sentence_at_the_start(
    worker: Worker, environment: dict[str, str]
) -> None:
    port = re.findall(r":(\d+)/", worker.url)[0]
    done = subprocess.run(
        [sys.executable, "-m", "rvm_client.worker"],
        env=environment | {"RVM_METRICS_PORT": port, "RVM_TRITON_URL": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: the metrics cannot be served at 127.0.0.1:{port} (Address")
    assert done.stdout == ""


def test_a_triton_that_is_started_anew_is_counted(worker: Worker) -> None:
    (triton,) = [
        child for child in worker.process.children(recursive=True) if child.name() == "tritonserver"
    ]
    triton.kill()
    wait_for(lambda: worker.now("rvm_triton_up") == 0)
    wait_for(lambda: worker.now("rvm_server_restarts_total") == 1)
    wait_for(lambda: worker.now("rvm_triton_up") == 1)
