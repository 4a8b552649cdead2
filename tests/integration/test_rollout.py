"""Versions come and go on a server at work, and no request fails."""

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from click.testing import Result
from tests.support.commands import invoke
from tests.support.faults import FAULTS
from tests.support.versions import add_bad_version, add_broken_version, add_version
from tritonclient.utils import InferenceServerException

from rvm_client import MattingSession, NotServedError, wire
from rvm_client.frames import SourceChunk
from rvm_client.matte import MattingModel, probe_within
from rvm_client.pixels import UInt8Array
from rvm_client.server import ServerOptions, Supervisor, TritonServer
from rvm_client.server.access import local_access
from rvm_export import script
from rvm_export.cli import main as rvm_export
from rvm_export.repository import MODEL_FILE, Repository, served_versions
from rvm_export.verify.goldens import INT8_CASES
from rvm_export.verify.run import run
from rvm_export.weights import Weights

RATIO = 1.0
ALPHAS = {1: 0.0, 2: 0.3, 3: -0.3}
BAD, BROKEN = 4, 5
# Sessions at work leave the processor to others between frames.
PAUSE_S = 0.1
# A session that waits for the processor is not to be taken for one that has ended.
IDLE_S = 4


@pytest.fixture(scope="module")
def repository(
    model_repository: Path, weights: Weights, tmp_path_factory: pytest.TempPathFactory
) -> Repository:
    """Versions 1 to 3, which differ, and two that no server should serve; 1 is active."""
    path = tmp_path_factory.mktemp("rollout")
    shutil.copytree(model_repository, path, dirs_exist_ok=True)
    repository = Repository(path)
    for version in (2, 3):
        add_version(repository, version, weights, ALPHAS[version])
    add_bad_version(repository, BAD, like=2)
    add_broken_version(repository, BROKEN, like=2)
    return repository


@pytest.fixture
def supervisor(repository: Repository, backend_cache: Path) -> Iterator[Supervisor]:
    """A server that began with version 1."""
    assert rolled_out(repository, "activate", 1).exit_code == 0
    options = ServerOptions(
        repository.path, cache_dir=backend_cache, threads=1, exit_timeout_s=0, is_controlled=True
    )
    with Supervisor(TritonServer.start(options), probe_within(60)) as supervisor:
        yield supervisor


def rolled_out(repository: Repository, command: str, *arguments: object) -> Result:
    """rvm-export, in this process."""
    return invoke(rvm_export, command, *arguments, "--repository", repository.path)


# --- under load


@dataclass
class Video:
    """What one session made."""

    version: str
    began_s: float
    ended_s: float
    alphas: list[UInt8Array]


@dataclass
class Client:
    """Mattes the same short video again and again, with a session of its own for each."""

    url: str
    frames: UInt8Array
    videos: list[Video] = field(default_factory=list)
    requests: int = 0
    failures: list[Exception] = field(default_factory=list)

    def work(self, is_over: Event) -> None:
        while not is_over.is_set():
            try:
                self.videos.append(self._matte())
            except Exception as exc:
                self.failures.append(exc)

    def _matte(self) -> Video:
        began_s, alphas = time.monotonic(), []
        with MattingSession(self.url, downsample_ratio=RATIO, frames_per_request=1) as session:
            for matte in session.matte(self.frames):
                alphas.append(matte.alpha)
                self.requests += 1
                time.sleep(PAUSE_S)
            return Video(session.model_version, began_s, time.monotonic(), alphas)


@dataclass
class Stranger:
    """A client that names no version: it is served throughout, too."""

    url: str
    requests: int = 0
    failures: list[Exception] = field(default_factory=list)

    def work(self, is_over: Event) -> None:
        with triton.InferenceServerClient(self.url) as client:
            while not is_over.wait(0.05):
                try:
                    client.infer(wire.MODEL_NAME, inputs())
                    self.requests += 1
                except InferenceServerException as exc:
                    self.failures.append(exc)


def inputs() -> list[triton.InferInput]:
    arrays: dict[str, Any] = {
        "src": np.zeros((1, 1, 16, 16, 3), np.uint8),
        **dict.fromkeys(wire.STATE_INPUTS, np.zeros((1, 1, 1, 1), np.float32)),
        wire.DOWNSAMPLE_RATIO: np.ones(1, np.float32),
    }
    made = []
    for name, array in arrays.items():
        datatype = "UINT8" if array.dtype == np.uint8 else "FP32"
        made.append(triton.InferInput(name, list(array.shape), datatype))
        made[-1].set_data_from_numpy(array)
    return made


def frames(count: int) -> UInt8Array:
    """A small moving picture."""
    src = INT8_CASES[0].src[:, ::6, ::6]
    return np.ascontiguousarray(np.resize(src, (count, *src.shape[1:])))


def alphas_of(repository: Repository, version: int, src: UInt8Array) -> UInt8Array:
    """What a version makes of a video where there is no other."""
    model = script.load(repository.version_folder(version) / MODEL_FILE, "cpu")
    matte = run(model, torch.from_numpy(src[np.newaxis]), RATIO, [1] * len(src), torch.float32)
    return np.asarray(matte.pha[0, ..., 0].numpy())


def test_rolled_out_under_load(repository: Repository, supervisor: Supervisor) -> None:
    """Four sessions at work, two activations and one refused: no request fails, none is mixed."""
    url, src = supervisor.address.url, frames(12)
    clients, stranger, is_over = [Client(url, src) for _ in range(4)], Stranger(url), Event()
    everybody: list[Client | Stranger] = [*clients, stranger]
    threads = [Thread(target=each.work, args=(is_over,)) for each in everybody]
    for thread in threads:
        thread.start()
    try:
        server = ("--server", url, "--idle", IDLE_S)
        wait_for_a_video_of("1", clients)
        first = rolled_out(repository, "activate", 2, *server, "--no-wait")
        first_s = time.monotonic()
        assert first.exit_code == 0, first.output
        wait_for_a_video_of("2", clients)
        refused = rolled_out(repository, "activate", BAD, *server)
        assert refused.exit_code == 6, refused.output
        assert served_versions(repository).active == 2
        second = rolled_out(repository, "activate", 3, *server)
        assert second.exit_code == 0, second.output
        assert "Version 1 of rvm_mobilenetv3 is unloaded" in second.output
        assert "Version 2 of rvm_mobilenetv3 is unloaded" in second.output
        wait_for_a_video_of("3", clients)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    videos = [video for client in clients for video in client.videos]
    counts = Counter(video.version for video in videos)
    requests = sum(client.requests for client in clients)
    failures = [exc for each in everybody for exc in each.failures]
    across = [v for v in videos if v.version == "1" and v.began_s < first_s < v.ended_s]
    print(
        f"\n{requests} requests in {len(videos)} videos {dict(sorted(counts.items()))}, "
        f"{len(across)} of them across an activation, and {stranger.requests} that name no "
        f"version: {len(failures)} failed"
    )
    assert not failures
    assert set(counts) == {"1", "2", "3"}
    assert across
    assert stranger.requests
    for version in ALPHAS:
        expected = alphas_of(repository, version, src)
        for video in videos:
            if video.version == str(version):
                np.testing.assert_allclose(
                    np.stack(video.alphas).astype(int), expected.astype(int), rtol=0, atol=1
                )
    assert loaded(url) == ["3"]
    assert served_versions(repository).served == (3,)


def wait_for_a_video_of(version: str, clients: list[Client]) -> None:
    """Until one has ended: those before it go on for a while."""
    ends_s = time.monotonic() + 60
    while not any(video.version == version for client in clients for video in client.videos):
        assert time.monotonic() < ends_s
        time.sleep(0.1)


def loaded(url: str) -> list[str]:
    with triton.InferenceServerClient(url) as client:
        return sorted(client.get_model_metadata(wire.MODEL_NAME).versions)


def test_the_versions_of_the_test_differ(repository: Repository) -> None:
    """Else a mixture would not be seen."""
    src = frames(2)
    made = [alphas_of(repository, version, src).astype(int) for version in ALPHAS]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(made[one] - made[other]).max() > 50


# --- one by one


def test_a_server_started_anew_has_the_versions_of_the_videos_at_work(
    repository: Repository, supervisor: Supervisor
) -> None:
    """A video goes on with its own, and the next one begins with the active one."""
    src = frames(6)
    with MattingModel(supervisor) as model:
        session = model.session(RATIO)
        alphas = [session.matte(chunk(src, i)).pha[0].copy() for i in range(3)]
        activated = ("activate", 2, "--server", supervisor.address.url, "--no-wait")
        assert rolled_out(repository, *activated).exit_code == 0
        FAULTS["server killed"](supervisor.server)
        alphas += [session.matte(chunk(src, i)).pha[0].copy() for i in range(3, 6)]
        assert session.model_version == "1"
        assert model.session(RATIO).model_version == "2"
    expected = alphas_of(repository, 1, src)
    np.testing.assert_allclose(np.stack(alphas).astype(int), expected.astype(int), atol=1)


def chunk(src: UInt8Array, index: int) -> SourceChunk:
    return SourceChunk(src[index : index + 1], (index,))


@pytest.mark.parametrize(
    ("version", "reason"),
    [(BAD, "does not give the mattes"), (BROKEN, "cannot be loaded")],
)
def test_a_bad_version_is_refused(
    repository: Repository, supervisor: Supervisor, version: int, reason: str
) -> None:
    """The one before serves on, here and after the next start."""
    url = supervisor.address.url
    config = (repository.model_folder / "config.pbtxt").read_text()
    done = rolled_out(repository, "activate", version, "--server", url)
    assert done.exit_code == 6
    assert reason in done.output
    assert "Traceback" not in done.output
    assert (repository.model_folder / "config.pbtxt").read_text() == config
    assert loaded(url) == ["1"]
    with triton.InferenceServerClient(url) as client:
        access = local_access(url)
        assert access is not None
        index = client.get_model_repository_index(headers=dict(access.headers))
        ready = [model.name for model in index.models if model.state == "READY"]
        assert ready == [wire.MODEL_NAME]
        client.infer(wire.MODEL_NAME, inputs())


def test_a_rollback_is_the_activation_of_the_one_before(
    repository: Repository, supervisor: Supervisor
) -> None:
    url = supervisor.address.url
    server = ("--server", url, "--idle", 0)
    assert rolled_out(repository, "activate", 3, *server).exit_code == 0
    done = rolled_out(repository, "rollback", *server)
    assert done.exit_code == 0, done.output
    assert served_versions(repository).active == 1
    with MattingSession(url) as session:
        assert session.model_version == "1"
    assert loaded(url) == ["1"]


def test_what_is_in_use_goes_when_its_time_is_over(
    repository: Repository, supervisor: Supervisor
) -> None:
    """And the video that is left says why it ends."""
    url, src = supervisor.address.url, frames(1)
    with MattingSession(url, downsample_ratio=RATIO) as session:
        session.matte_frame(src[0])
        server = ("--server", url, "--idle", 600, "--drain", 1)
        done = rolled_out(repository, "activate", 2, *server)
        assert "Version 1 of rvm_mobilenetv3 is unloaded" in done.output
        with pytest.raises(NotServedError, match="version 1 is not at ready state"):
            session.matte_frame(src[0])
    with MattingSession(url, downsample_ratio=RATIO) as session:
        session.matte_frame(src[0])
        assert session.model_version == "2"


def test_an_interrupted_wait_leaves_what_is_in_use(
    repository: Repository, supervisor: Supervisor
) -> None:
    url = supervisor.address.url
    arguments = ["activate", "2", "--server", url, "--repository", str(repository.path)]
    command = [sys.executable, "-m", "rvm_export", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"is active" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"stay loaded" in stderr
    assert b"Traceback" not in stderr
    assert loaded(url) == ["1", "2"]
    again = rolled_out(repository, "activate", 2, "--server", url, "--idle", 0)
    assert "Version 1 of rvm_mobilenetv3 is unloaded" in again.output
    assert loaded(url) == ["2"]
    assert served_versions(repository).previous == 1


def test_a_server_that_loads_nothing_while_it_runs(
    repository: Repository, triton_url: str, unused_port: int
) -> None:
    done = rolled_out(repository, "activate", 2, "--server", triton_url)
    assert done.exit_code == 6
    assert "--model-control explicit" in done.output
    done = rolled_out(repository, "activate", 2, "--server", f"127.0.0.1:{unused_port}")
    assert done.exit_code == 6
    assert "no Triton server answers" in done.output


def test_without_a_server(repository: Repository) -> None:
    """What is said, and what the next server serves, is the active version alone."""
    assert rolled_out(repository, "activate", 3).exit_code == 0
    assert served_versions(repository).served == (3,)
    done = rolled_out(repository, "activate", 9)
    assert done.exit_code == 2
    assert "has no version 9, but 1, 2, 3, 4, 5" in done.output
    assert served_versions(repository).active == 3
    table = rolled_out(repository, "list").output
    assert [line.split()[1:3] for line in table.splitlines()[1:]] == [
        ["1", "no"],
        ["2", "no"],
        ["3", "active"],
        ["4", "no"],
        ["5", "no"],
    ]


def test_versions_of_strangers_are_not_loaded(supervisor: Supervisor) -> None:
    """A model is a program: who has no key loads none, over gRPC and HTTP."""
    server = supervisor.server
    with triton.InferenceServerClient(server.grpc_url) as client:
        for attempt in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="restricted"):
                attempt(wire.MODEL_NAME)
    done = subprocess.run(
        ["curl", "--silent", "-X", "POST", f"http://{server.http_url}/v2/repository/models/x/load"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "restricted" in done.stdout
