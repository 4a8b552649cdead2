"""`scripts/start`: the worker and its Triton begin and end together. Real processes and signals."""

import json
import os
import re
import shutil
import signal
import site
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests
import torch
from tests.support import http_faults as faults
from tests.support.clip_server import ClipServer
from tests.support.clips import index_frame, write_clip
from tests.support.http_faults import FaultyServer
from tests.support.runpod_server import RunPodServer

from rvm_client.errors import ConfigError, ServerError, StoppedError
from rvm_client.wire import MODEL_NAME
from rvm_export import script
from rvm_export.weights.weights import Weights
from rvm_export.wire import Layout

ROOT = Path(__file__).parents[2]
START = ROOT / "scripts" / "start"
WITHIN_S = 60.0
KILLED = 128 + signal.SIGKILL
CANNOT_BEGIN = 1
FRAMES = 16
SERVER_NAME = re.compile(r"rvm-server-[0-9a-f]{8}-[0-9a-f]{12}")
# The echo model takes about a second for a request with this ratio, which is 8 frames.
SLOW_RATIO = 0.5


@dataclass(frozen=True)
class Container:
    """A running `scripts/start` with a temporary folder of its own."""

    process: "subprocess.Popen[str]"
    folder: Path

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def errors(self) -> str:
        return (self.folder / "errors").read_text()

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    @property
    def server_names(self) -> list[str]:
        """Names of Triton servers, with which their segments in /dev/shm start."""
        names = (path.name for path in self.temporary.iterdir())
        return [found[0] for found in map(SERVER_NAME.match, names) if found]

    def processes(self, name: str = "") -> list[psutil.Process]:
        """All processes of this container, by the temporary folder in their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("TMPDIR") == str(self.temporary)
                if ours and name in process.name() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def signal_group(self, number: signal.Signals) -> None:
        """As Ctrl-C in a terminal does it."""
        os.killpg(self.process.pid, number)

    def end(self) -> int:
        """Wait for the end and return the exit status. Nothing may be left."""
        names = self.server_names
        status = self.process.wait(WITHIN_S)
        wait_for(lambda: not self.processes())
        assert list(self.temporary.iterdir()) == []
        assert not [path for name in names for path in Path("/dev/shm").glob(f"{name}*")]
        return status


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; fails when it takes too long."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClipServer]:
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "clip.mp4", [index_frame(i) for i in range(FRAMES)])
    with ClipServer(folder) as server:
        yield server


@pytest.fixture
def environment(echo_repository: Path, backend_cache: Path, tmp_path: Path) -> dict[str, str]:
    """For the echo model on free ports; results go to a local folder."""
    (tmp_path / "tmp").mkdir()
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("CLOUDINARY", "BUCKET"))}
    return keep | {
        "RVM_VENV": sys.prefix,
        "RVM_MODEL_REPOSITORY": str(echo_repository),
        "RVM_CACHE_DIR": str(backend_cache),
        "RVM_MIN_SHM_BYTES": "1",
        "RVM_UPLOAD_FOLDER": str(tmp_path / "results"),
        "RVM_ALLOW_PRIVATE_ADDRESSES": "true",
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(tmp_path / "tmp"),
    }


@contextmanager
def container(
    environment: dict[str, str], folder: Path, *arguments: str, command: Path = START
) -> Iterator[Container]:
    """`scripts/start` in a session of its own, as a terminal or an engine starts it."""
    with (folder / "errors").open("wb") as errors, (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [command, *arguments],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    running = Container(process, folder)
    with process:
        try:
            yield running
        finally:
            # Only a test that has failed leaves something to do here.
            names = running.server_names
            process.kill()
            for left in running.processes():
                left.kill()
            for segment in (s for name in names for s in Path("/dev/shm").glob(f"{name}*")):
                segment.unlink(missing_ok=True)


@contextmanager
def busy(
    environment: dict[str, str], folder: Path, clips: ClipServer
) -> Iterator[tuple[Container, RunPodServer]]:
    """A container that has begun a job of some seconds, and RunPod's side of it."""
    job = {
        "video_url": clips.url("clip.mp4"),
        "downsample_ratio": SLOW_RATIO,
        "warm_start": False,
    }
    with (
        RunPodServer() as runpod,
        container(environment | runpod.environment, folder) as running,
    ):
        runpod.submit("job", job)
        runpod.wait_for_progress("job", "Processing (")
        yield running, runpod


def test_one_job_and_the_end(
    environment: dict[str, str], clips: ClipServer, tmp_path: Path
) -> None:
    environment["RVM_MIN_SHM_BYTES"] = str(2**60)
    job = json.dumps({"input": {"video_url": clips.url("clip.mp4")}})
    started_s = time.monotonic()
    with container(environment, tmp_path, "--test_input", job) as running:
        assert running.end() == 0, running.errors
    check_cold_start(running.output, time.monotonic() - started_s)
    assert list((tmp_path / "results").rglob("*.mp4"))
    size_mib = shutil.disk_usage("/dev/shm").total // 2**20
    assert f"warning: /dev/shm has {size_mib} MiB" in running.errors
    assert f"need {2**40} MiB" in running.errors
    assert "--shm-size" in running.errors


def check_cold_start(output: str, until_its_end_s: float) -> None:
    """One line: parts that add up to the whole, and what Triton took beside them."""
    (line,) = [line for line in output.splitlines() if "cold start" in line]
    found = re.search(
        r"cold start: ([\d.]+) s to the first frame: (.*); Triton started beside the imports, "
        r"in ([\d.]+) s, ([\d.]+) of them for the models",
        line,
    )
    assert found is not None, line
    parts = {name: float(seconds) for name, seconds in re.findall(r"([\w -]+) ([\d.]+)", found[2])}
    names = "Python, imports, Triton, golden frame, waiting for a job, download, first frame"
    assert [name.strip() for name in parts] == names.split(", ")
    whole_s, triton_s, models_s = map(float, found.group(1, 3, 4))
    assert sum(parts.values()) == pytest.approx(whole_s, abs=0.05)
    assert 0 < models_s < triton_s < whole_s < until_its_end_s


def test_serves_jobs_at_an_address_until_sigterm(
    environment: dict[str, str], tmp_path: Path, unused_port: int
) -> None:
    options = ("--rp_serve_api", "--rp_api_port", str(unused_port))
    with container(environment, tmp_path, *options) as running:

        def answer() -> requests.Response | None:
            try:
                url = f"http://127.0.0.1:{unused_port}/runsync"
                return requests.post(url, json={"input": {}}, timeout=10)
            except requests.ConnectionError:
                return None

        wait_for(lambda: running.process.poll() is not None or answer() is not None)
        response = answer()
        assert response is not None, running.errors
        assert "video_url" in response.json()["error"]
        running.process.send_signal(signal.SIGTERM)
        assert running.end() == 0, running.errors
    assert "warning" not in running.errors


def test_one_job_that_is_stopped_is_not_done(environment: dict[str, str], tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.answers(faults.silent())
        job = json.dumps({"input": {"video_url": server.url()}})
        with container(environment, tmp_path, "--test_input", job) as running:
            assert server.arrived.wait(WITHIN_S)
            running.signal_group(signal.SIGINT)
            assert running.end() == StoppedError.exit_code
    assert running.errors.splitlines()[-1] == "error: the job was stopped before it was done"


# --- signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_the_job_finish(
    environment: dict[str, str], clips: ClipServer, tmp_path: Path, number: signal.Signals
) -> None:
    with busy(environment, tmp_path, clips) as (running, runpod):
        running.signal_group(number)
        assert runpod.wait_for_result("job")["output"]["frames"] == FRAMES
        assert running.end() == 0, running.errors


def test_the_second_signal_stops_at_once(
    environment: dict[str, str], clips: ClipServer, tmp_path: Path
) -> None:
    with busy(environment, tmp_path, clips) as (running, runpod):
        running.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "a second signal stops at once" in running.errors)
        running.process.send_signal(signal.SIGTERM)
        assert running.end() == KILLED, running.errors
        assert all(message.is_progress for message in runpod.messages("job"))
    assert "stopping at once" in running.errors


def test_a_signal_while_triton_starts(environment: dict[str, str], tmp_path: Path) -> None:
    with container(environment, tmp_path) as running:
        wait_for(lambda: bool(running.processes("tritonserver")))
        running.process.send_signal(signal.SIGTERM)
        assert running.end() == 0, running.errors
    assert running.errors == ""


def test_killed_hard_it_leaves_no_process(
    environment: dict[str, str], clips: ClipServer, tmp_path: Path
) -> None:
    with busy(environment, tmp_path, clips) as (running, _):
        assert running.processes("tritonserver")
        running.process.kill()
        assert running.process.wait(WITHIN_S) == -signal.SIGKILL
        wait_for(lambda: not running.processes())
        wait_for(lambda: not running.server_names)


# --- one ends, the other ends


def test_the_death_of_triton_ends_neither_the_job_nor_the_worker(
    environment: dict[str, str], clips: ClipServer, tmp_path: Path
) -> None:
    with busy(environment, tmp_path, clips) as (running, runpod):
        (server,) = running.processes("tritonserver")
        server.kill()
        assert runpod.wait_for_result("job")["output"]["frames"] == FRAMES
        (another,) = running.processes("tritonserver")
        assert another.pid != server.pid
        running.process.send_signal(signal.SIGTERM)
        assert running.end() == 0, running.errors


def test_without_a_triton_that_starts_anew_the_worker_ends(
    environment: dict[str, str], echo_repository: Path, clips: ClipServer, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    repository.symlink_to(echo_repository)
    environment["RVM_MODEL_REPOSITORY"] = str(repository)
    with busy(environment, tmp_path, clips) as (running, runpod):
        repository.unlink()
        (server,) = running.processes("tritonserver")
        server.kill()
        result = runpod.wait_for_result("job")
        assert "is not a model repository" in result["error"]
        assert result["stopPod"] is True
        assert running.end() == ServerError.exit_code, running.errors
    assert "the worker ends too" in running.errors


def test_a_worker_without_a_store_takes_triton_along(
    environment: dict[str, str], tmp_path: Path
) -> None:
    del environment["RVM_UPLOAD_FOLDER"]
    with container(environment, tmp_path) as running:
        assert running.end() == CANNOT_BEGIN
    assert re.fullmatch(r"error: no store is set.*\n", running.errors)


# --- before the first job


def test_without_a_port_there_is_no_worker(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with container(environment | {"RVM_GRPC_PORT": str(port)}, tmp_path) as running:
            assert running.end() == ServerError.exit_code
    assert re.fullmatch(rf"error: .*127\.0\.0\.1:{port}.*\n", running.errors)


def test_a_model_with_one_wrong_weight_takes_no_jobs(
    environment: dict[str, str], model_repository: Path, weights: Weights, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(model_repository, repository)
    network = weights.network()
    bias = network.project_mat.conv.bias
    assert bias is not None
    with torch.no_grad():
        bias[3] += 0.05
    wrong = script.script(network, torch.float32, Layout.RGB)
    torch.jit.save(wrong, repository / MODEL_NAME / "1" / "model.pt")
    with container(environment | {"RVM_MODEL_REPOSITORY": str(repository)}, tmp_path) as running:
        assert running.end() == CANNOT_BEGIN
    assert re.fullmatch(
        r"error: the model rvm_mobilenetv3, version 1, does not give the mattes .*\n",
        running.errors,
    )


def test_without_the_gpu_that_is_demanded_it_takes_no_jobs(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with container(environment | {"RVM_REQUIRE_GPU": "true"}, tmp_path) as running:
        assert running.end() == CANNOT_BEGIN
    assert re.search(r"^error: .*RVM_REQUIRE_GPU demands a GPU.*\n\Z", running.errors, re.M)


def test_an_installation_that_is_missing(environment: dict[str, str], tmp_path: Path) -> None:
    nowhere = environment | {"RVM_VENV": str(tmp_path / "none")}
    with container(nowhere, tmp_path) as running:
        assert running.end() == ConfigError.exit_code
    assert "scripts/setup" in running.errors


def test_a_plain_installation_says_which_extra_is_missing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    for folder in map(Path, site.getsitepackages()):
        for entry in folder.iterdir():
            if not entry.name.startswith(("runpod", "__editable__")):
                (packages / entry.name).symlink_to(entry)
    (packages / "rvm_client").symlink_to(ROOT / "client" / "rvm_client")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -S -m rvm_client.worker\n")
    program.chmod(0o755)
    plain = environment | {"PYTHONPATH": str(packages)}
    with container(plain, tmp_path, command=program) as running:
        assert running.end() == CANNOT_BEGIN
    assert running.errors == ("error: runpod is not installed: pip install 'rvm-triton[worker]'\n")
