"""`scripts/start`: Triton and the worker live and end together. Real processes, real signals."""

import json
import os
import re
import shutil
import signal
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
from tests.support.clip_server import ClipServer
from tests.support.clips import index_frame, write_clip

from rvm_client.errors import ConfigError, ServerError

ROOT = Path(__file__).parents[2]
START = ROOT / "scripts" / "start"
STAND_IN = Path(__file__).with_name("worker.py")
WITHIN_S = 40.0
KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True)
class Container:
    """A running `scripts/start` with a temporary folder of its own."""

    process: "subprocess.Popen[str]"
    folder: Path

    @property
    def notes(self) -> list[str]:
        """What the stand-in for the worker has noted."""
        file = self.folder / "notes"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def worker(self) -> int:
        return int(self.notes[0].removeprefix("pid "))

    @property
    def server_names(self) -> list[str]:
        """Names of Triton servers, with which their segments in /dev/shm start."""
        return [path.name[: len("rvm-") + 12] for path in self.temporary.glob("rvm-*-*")]

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

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

    def wait_started(self) -> None:
        """Until the stand-in runs, which is when Triton is ready."""
        wait_for(lambda: bool(self.notes) or self.process.poll() is not None)
        assert self.notes, self.process.communicate()

    def end(self) -> tuple[int, str]:
        """Wait for the end: exit status and stderr. Nothing may be left."""
        names = self.server_names
        _, errors = self.process.communicate(timeout=WITHIN_S)
        wait_for(lambda: not self.processes())
        wait_for(lambda: not list(self.temporary.glob("rvm-*")))
        assert not [path for name in names for path in Path("/dev/shm").glob(f"{name}*")]
        return self.process.returncode, errors


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; fails when it takes too long."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def environment(echo_repository: Path, backend_cache: Path, tmp_path: Path) -> dict[str, str]:
    """For the echo model on free ports; results go to a local folder."""
    (tmp_path / "tmp").mkdir()
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("CLOUDINARY", "BUCKET"))}
    return keep | {
        "RVM_VENV": sys.prefix,
        "RVM_MODEL_REPOSITORY": str(echo_repository),
        "RVM_CACHE_DIR": str(backend_cache),
        "RVM_GRPC_PORT": "0",
        "RVM_HTTP_PORT": "0",
        "RVM_METRICS_PORT": "0",
        "RVM_MIN_SHM_BYTES": "1",
        "RVM_WORKER_GRACE_S": "2",
        "RVM_UPLOAD_FOLDER": str(tmp_path / "results"),
        "RVM_ALLOW_PRIVATE_ADDRESSES": "true",
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(tmp_path / "tmp"),
    }


@pytest.fixture
def with_stand_in(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment with a `python` that runs `worker.py` for `-m rvm_client.worker`."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "rvm-serve").symlink_to(Path(sys.prefix) / "bin" / "rvm-serve")
    python = programs / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "-m rvm_client.worker" ] || exit 9\nshift 2\n'
        f'exec "{sys.executable}" "{STAND_IN}" "$@"\n'
    )
    python.chmod(0o755)
    return environment | {"RVM_VENV": str(programs.parent)}


@contextmanager
def container(environment: dict[str, str], folder: Path, *arguments: str) -> Iterator[Container]:
    """`scripts/start` in a session of its own, as a terminal or an engine starts it."""
    process = subprocess.Popen(
        [START, *arguments],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
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
def stand_in(environment: dict[str, str], folder: Path, mode: str) -> Iterator[Container]:
    """A container with the stand-in for a worker, both up."""
    with container(environment, folder, mode, str(folder / "notes")) as running:
        running.wait_started()
        yield running


# --- the real worker


def test_one_job_and_the_end(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "clip.mp4", [index_frame(i) for i in range(4)])
    with ClipServer(tmp_path / "clips") as clips:
        job = json.dumps({"input": {"video_url": clips.url("clip.mp4")}})
        with container(environment, tmp_path, "--test_input", job) as running:
            status, errors = running.end()
    assert status == 0, errors
    assert list((tmp_path / "results").rglob("*.mp4"))


def test_serves_jobs_until_sigterm(
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
        assert response is not None
        assert "video_url" in response.json()["error"]
        running.process.send_signal(signal.SIGTERM)
        status, errors = running.end()
    assert status == 0, errors


def test_a_worker_without_a_store_takes_triton_along(
    environment: dict[str, str], tmp_path: Path
) -> None:
    del environment["RVM_UPLOAD_FOLDER"]
    with container(environment, tmp_path) as running:
        status, errors = running.end()
    assert status == 1
    assert "no store is set" in errors


# --- signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_finishes_before_triton_ends(
    with_stand_in: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    with stand_in(with_stand_in, tmp_path, "steady") as running:
        # To the whole group, as Ctrl-C in a terminal does it.
        os.killpg(running.process.pid, number)
        status, errors = running.end()
        assert running.notes[1:] == ["got SIGTERM", "Triton answers"]
    assert status == 0, errors


def test_a_second_signal_does_not_wait_for_the_worker(
    with_stand_in: dict[str, str], tmp_path: Path
) -> None:
    with stand_in(with_stand_in, tmp_path, "stubborn") as running:
        running.process.send_signal(signal.SIGTERM)
        wait_for(lambda: len(running.notes) > 1)
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGTERM)
        status, errors = running.end()
        assert running.notes[1:] == ["got SIGTERM"]
    assert status == KILLED, errors


def test_a_signal_while_triton_starts(with_stand_in: dict[str, str], tmp_path: Path) -> None:
    with container(with_stand_in, tmp_path, "steady", str(tmp_path / "notes")) as running:
        wait_for(lambda: bool(running.processes("tritonserver")))
        running.process.send_signal(signal.SIGTERM)
        status, errors = running.end()
        assert not running.notes
    assert status == 0, errors


def test_killed_hard_it_leaves_nothing(with_stand_in: dict[str, str], tmp_path: Path) -> None:
    with stand_in(with_stand_in, tmp_path, "steady") as running:
        running.process.kill()
        assert running.end()[0] == -signal.SIGKILL


# --- one ends, the other ends


def test_the_death_of_triton_ends_the_worker(with_stand_in: dict[str, str], tmp_path: Path) -> None:
    with stand_in(with_stand_in, tmp_path, "steady") as running:
        (server,) = running.processes("tritonserver")
        server.kill()
        status, errors = running.end()
        assert running.notes[1:] == ["got SIGTERM", "Triton is gone"]
    assert status == ServerError.exit_code
    assert "Triton server ended (killed by SIGKILL" in errors
    assert "Triton has ended, so the worker ends too" in errors


def test_a_worker_that_does_not_end_without_triton_is_killed(
    with_stand_in: dict[str, str], tmp_path: Path
) -> None:
    with stand_in(with_stand_in, tmp_path, "stubborn") as running:
        (server,) = running.processes("tritonserver")
        server.kill()
        assert running.end()[0] == ServerError.exit_code


def test_the_death_of_the_worker_ends_triton(with_stand_in: dict[str, str], tmp_path: Path) -> None:
    with stand_in(with_stand_in, tmp_path, "steady") as running:
        os.kill(running.worker, signal.SIGKILL)
        assert running.end()[0] == KILLED


@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_status_is_the_workers(
    with_stand_in: dict[str, str], tmp_path: Path, status: int
) -> None:
    with stand_in(with_stand_in, tmp_path, str(status)) as running:
        assert running.end()[0] == status


# --- before the worker


def test_without_triton_there_is_no_worker(with_stand_in: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = with_stand_in | {"RVM_GRPC_PORT": str(port)}
        with container(environment, tmp_path, "steady", str(tmp_path / "notes")) as running:
            status, errors = running.end()
            assert not running.notes
    assert status == ServerError.exit_code
    assert re.fullmatch(rf"rvm-serve: .*127\.0\.0\.1:{port}.*\n", errors)


def test_a_small_shared_memory_is_warned_of(with_stand_in: dict[str, str], tmp_path: Path) -> None:
    environment = with_stand_in | {"RVM_MIN_SHM_BYTES": str(2**60)}
    with stand_in(environment, tmp_path, "0") as running:
        status, errors = running.end()
    size_mib = shutil.disk_usage("/dev/shm").total // 2**20
    assert f"/dev/shm has {size_mib} MiB" in errors
    assert f"need {2**40} MiB" in errors
    assert "--shm-size" in errors
    assert status == 0


def test_a_large_shared_memory_is_not_worth_a_word(
    with_stand_in: dict[str, str], tmp_path: Path
) -> None:
    with stand_in(with_stand_in, tmp_path, "0") as running:
        assert running.end() == (0, "")


def test_an_installation_that_is_missing(environment: dict[str, str], tmp_path: Path) -> None:
    nowhere = environment | {"RVM_VENV": str(tmp_path / "none"), "PATH": "/usr/bin:/bin"}
    with container(nowhere, tmp_path) as running:
        status, errors = running.end()
    assert status == ConfigError.exit_code
    assert "scripts/setup" in errors
