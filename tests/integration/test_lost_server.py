"""A server that is lost in the middle of a video: replaced, and nothing of the result differs.

Faults are signals to the real processes, sent between two chunks of frames.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from tests.support.clips import index_frame, write_clip
from tests.support.faults import FAULTS, strike
from tests.support.gpu_server import GpuServer

from rvm_client.errors import (
    GpuLostError,
    ModelProcessError,
    ServerError,
    ServerStartError,
    ServerUnreachableError,
    StoppedError,
)
from rvm_client.matte import ChunkShape, MattingModel, probe_within
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline import MatteProgress, MatteResult, matte_video
from rvm_client.server import ServerAddress, ServerOptions, Supervisor, TritonServer
from rvm_export.verify.goldens import INT8_CASES

TIMEOUT_S = 5.0
OPTIONS = MatteOptions(OutputType.ALPHA, frames_per_request=2, warm_start=False)


@pytest.fixture(scope="module")
def options(model_repository: Path, backend_cache: Path) -> ServerOptions:
    """For a server of the real model."""
    return ServerOptions(model_repository, cache_dir=backend_cache, exit_timeout_s=0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person, small, for sixteen frames."""
    portrait = np.ascontiguousarray(INT8_CASES[0].src[:, ::2, ::2])
    path = tmp_path_factory.mktemp("clips") / "portrait.mp4"
    return write_clip(path, [*portrait, *portrait[::-1]] * 2)


@contextmanager
def supervised(options: ServerOptions) -> Iterator[Supervisor]:
    with (
        TritonServer.start(options) as server,
        Supervisor(server, probe_within(TIMEOUT_S)) as supervisor,
    ):
        yield supervisor


@pytest.fixture(scope="module")
def shared_supervisor(options: ServerOptions) -> Iterator[Supervisor]:
    """A supervised server of the real model, for all tests of faults."""
    with supervised(options) as running:
        yield running


@pytest.fixture
def supervisor(shared_supervisor: Supervisor) -> Supervisor:
    """The same, whatever the test before has done to it."""
    address = shared_supervisor.address
    try:
        probe_within(TIMEOUT_S)(address.url, lambda: False)
    except ServerError:
        shared_supervisor.replacement(address, lambda: False)
    return shared_supervisor


def packets(path: Path) -> list[tuple[int | None, int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(p.pts, p.dts, bytes(p)) for p in container.demux() if p.size]


def matte(
    clip: Path, target: Path, model: MattingModel, on_frames: Callable[[int], None] | None = None
) -> MatteResult:
    def on_progress(progress: MatteProgress) -> None:
        if on_frames is not None:
            on_frames(progress.frames_done)

    return matte_video(clip, target, model, OPTIONS, on_progress=on_progress)


def model_of(supervisor: Supervisor, most_losses: int = 3) -> MattingModel:
    return MattingModel(supervisor, request_timeout_s=TIMEOUT_S, most_losses=most_losses)


@pytest.fixture(scope="module")
def undisturbed(
    clip: Path, shared_supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    target = tmp_path_factory.mktemp("undisturbed") / "out.webm"
    with model_of(shared_supervisor) as model:
        matte(clip, target, model)
    return target


@pytest.mark.parametrize("fault", FAULTS)
def test_the_file_is_that_of_an_undisturbed_run(
    fault: str, clip: Path, undisturbed: Path, supervisor: Supervisor, tmp_path: Path
) -> None:
    servers = []

    def struck(frames_done: int) -> None:
        if frames_done in (4, 10):
            servers.append(supervisor.server)
            strike(fault, supervisor)

    with model_of(supervisor) as model:
        result = matte(clip, tmp_path / "out.webm", model, struck)
    assert len({server.pid for server in [*servers, supervisor.server]}) == 3
    assert all(server.poll() is not None for server in servers)
    assert result.transport == "shared memory"
    assert packets(result.path) == packets(undisturbed)
    assert not list(Path("/dev/shm").glob("rvm-client-*"))


def test_a_server_that_is_lost_again_and_again_fails_the_video(
    clip: Path, supervisor: Supervisor, tmp_path: Path
) -> None:
    def struck(frames_done: int) -> None:
        if frames_done in (4, 8):
            strike("model's process killed", supervisor)

    with model_of(supervisor, most_losses=1) as model, pytest.raises(ModelProcessError) as failed:
        matte(clip, tmp_path / "out.webm", model, struck)
    assert "was lost 2 times" in str(failed.value)
    assert list(tmp_path.iterdir()) == []


def test_two_videos_share_the_new_server(
    clip: Path, undisturbed: Path, supervisor: Supervisor, tmp_path: Path
) -> None:
    both = threading.Barrier(2, action=lambda: strike("server killed", supervisor))

    def struck(frames_done: int) -> None:
        if frames_done == 4:
            both.wait(60)

    def run(name: str) -> None:
        with model_of(supervisor) as model:
            matte(clip, tmp_path / name, model, struck)

    before = supervisor.address.generation
    with futures.ThreadPoolExecutor() as pool:
        list(pool.map(run, ["a.webm", "b.webm"]))
    assert supervisor.address.generation == before + 1
    for name in ("a.webm", "b.webm"):
        assert packets(tmp_path / name) == packets(undisturbed)


def test_a_remote_server_is_waited_for(
    clip: Path, undisturbed: Path, options: ServerOptions, tmp_path: Path
) -> None:
    servers = [TritonServer.start(options)]
    again = replace(options, grpc_port=servers[0].ports.grpc)

    def restart() -> None:
        servers[0].stop(at_once=True)
        servers.append(TritonServer.start(again))

    operator = threading.Thread(target=restart)

    def struck(frames_done: int) -> None:
        if frames_done == 4:
            operator.start()

    try:
        with MattingModel(servers[0].grpc_url, request_timeout_s=TIMEOUT_S) as model:
            result = matte(clip, tmp_path / "out.webm", model, struck)
        operator.join()
    finally:
        for server in servers:
            server.stop(at_once=True)
    assert packets(result.path) == packets(undisturbed)


def test_a_remote_server_that_stays_away_fails_the_video(
    clip: Path, options: ServerOptions, tmp_path: Path
) -> None:
    with TritonServer.start(options) as server:

        def struck(frames_done: int) -> None:
            if frames_done == 4:
                server.stop(at_once=True)

        with (
            MattingModel(server.grpc_url, reconnect_s=1) as model,
            pytest.raises(ServerUnreachableError),
        ):
            matte(clip, tmp_path / "out.webm", model, struck)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["server hangs", "model's process hangs"])
def test_the_work_can_be_cancelled_while_the_server_hangs(
    fault: str, clip: Path, supervisor: Supervisor, tmp_path: Path
) -> None:
    cancelled = threading.Event()
    struck_s = 0.0

    def struck(progress: MatteProgress) -> None:
        nonlocal struck_s
        if progress.frames_done == 4:
            strike(fault, supervisor)
            struck_s = time.monotonic()
            threading.Timer(0.5, cancelled.set).start()

    with (
        MattingModel(supervisor, request_timeout_s=600) as model,
        pytest.raises(StoppedError),
    ):
        matte_video(
            clip, tmp_path / "out.webm", model, OPTIONS, on_progress=struck, cancelled=cancelled
        )
    # Not the ten minutes of a request.
    assert time.monotonic() - struck_s < 30
    assert list(tmp_path.iterdir()) == []


class TwoServers:
    """A ServerSupply of two servers that somebody has started."""

    def __init__(self, first: str, second: str) -> None:
        self.address = ServerAddress(first)
        self._second = ServerAddress(second, generation=1)

    def replacement(self, _lost: ServerAddress, _is_stopped: Callable[[], bool]) -> ServerAddress:
        return self._second


STICKY = "RuntimeError: CUDA error: an illegal memory access was encountered"


def test_after_a_lost_gpu_the_request_is_sent_once_more(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(5)])
    with GpuServer(failure=STICKY) as broken, GpuServer() as sound:
        servers = TwoServers(broken.url, sound.url)
        with MattingModel(servers) as model:
            result = matte_video(clip, tmp_path / "out.webm", model, OPTIONS)
        assert (result.frames, sum(sound.frames)) == (5, 5)
        with (
            MattingModel(TwoServers(broken.url, broken.url)) as model,
            pytest.raises(GpuLostError, match="lost 2 times"),
        ):
            matte_video(clip, tmp_path / "again.webm", model, OPTIONS)


def test_the_model_stays_the_same_for_a_video(
    clip: Path, supervisor: Supervisor, tmp_path: Path
) -> None:
    def struck(frames_done: int) -> None:
        if frames_done == 4:
            strike("server killed", supervisor)

    with GpuServer() as other:
        other.version = "2"
        servers = TwoServers(supervisor.address.url, other.url)
        with (
            MattingModel(servers) as model,
            pytest.raises(ServerError, match="no version 1 of"),
        ):
            matte(clip, tmp_path / "out.webm", model, struck)


def test_a_server_that_cannot_be_started_anew_is_given_up(
    options: ServerOptions, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    repository.symlink_to(options.model_repository)
    with supervised(replace(options, model_repository=repository)) as supervisor:
        with model_of(supervisor) as model, model.session(0.5, ChunkShape(1, 64, 64)):
            repository.unlink()
            strike("server killed", supervisor)
            with pytest.raises(ServerStartError, match="is not a model repository"):
                supervisor.keep()
        with pytest.raises(ServerStartError):
            model_of(supervisor)


def test_an_idle_server_is_replaced_where_it_stood(options: ServerOptions) -> None:
    with supervised(options) as supervisor, futures.ThreadPoolExecutor() as pool:
        url = supervisor.address.url
        watch = pool.submit(supervisor.keep)
        for generation, fault in enumerate(["server killed", "model's process killed"]):
            strike(fault, supervisor)
            deadline = time.monotonic() + 60
            while supervisor.address.generation == generation:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            with MattingModel(url) as model:
                model.probe()
        supervisor.close()
        watch.result()
