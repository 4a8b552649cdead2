"""`rvm-batch --cluster` on a Ray cluster of three machines, all of them on this one."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import psutil
import pytest
from tests.support.clips import index_frame, write_clip
from tests.support.commands import invoke
from tests.support.processes import processes_named

from rvm_client.cli.batch import batch
from rvm_client.server import TritonServer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PROGRAM = [sys.executable, "-c", "from rvm_client.cli.batch import batch; batch()"]
FLAGS = ("--no-warm-start", "--background", "black")
# Each of the machines begins with one of these, which take seconds.
SLOW, QUICK = [f"slow{n}" for n in range(3)], [f"quick{n}" for n in range(8)]


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TMPDIR of the machines, by which their servers are known."""
    return tmp_path_factory.mktemp("machines")


@pytest.fixture(scope="module")
def cluster(temporary: Path, echo_repository: Path, backend_cache: Path) -> Iterator[Any]:
    """A head and two more machines, with one core each."""
    from ray.cluster_utils import Cluster

    # Ray's sockets have short names.
    folder = tempfile.mkdtemp(prefix="ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RVM_MODEL_REPOSITORY", str(echo_repository))
        patch.setenv("RVM_CACHE_DIR", str(backend_cache))
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("TMPDIR", str(temporary))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        started: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        for _ in range(2):
            started.add_node(wait=False, num_cpus=1)
        started.wait_for_nodes()
        yield started
        started.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A list of twelve, one of which is no video."""
    rows = ["source,downsample_ratio"]
    for number, name in enumerate((*SLOW, *QUICK)):
        write_clip(tmp_path / f"{name}.mp4", [index_frame(number)])
        rows.append(f"{name}.mp4,{0.5 if name in SLOW else 0.25}")
    (tmp_path / "bad.mp4").write_text("no video")
    (tmp_path / "list.csv").write_text("\n".join([*rows, "bad.mp4,"]))
    return tmp_path


def start(
    cluster: Any,
    folder: Path,
    source: str = "list.csv",
    flags: Sequence[str] = FLAGS,
    stderr: int = subprocess.PIPE,
) -> "subprocess.Popen[str]":
    as_json = ("--json",) if stderr == subprocess.PIPE else ()
    return subprocess.Popen(
        [*PROGRAM, source, "-o", "out", *flags, *as_json, "--cluster", cluster.address],
        cwd=folder,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def actors_on(node: Any) -> list[psutil.Process]:
    """The actors of a machine that work on an item now."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    busy = []
    for process in raylet.children():
        # Ray shows in a process's name what it does.
        with suppress(psutil.Error):
            if "ray::Matter.do" in process.cmdline()[:1]:
                busy.append(process)
    return busy


def busy_machines(cluster: Any) -> list[Any]:
    """The head, without which there is no cluster, comes first if it is among them."""
    return [node for node in cluster.list_all_nodes() if actors_on(node)]


def test_a_machine_and_processes_that_are_lost_cost_their_items_only(
    cluster: Any, folder: Path, temporary: Path, echo_server: TritonServer
) -> None:
    # How long the tests' model takes is all that the ratio changes.
    sources = [folder / f"{name}.mp4" for name in (*SLOW, *QUICK, "bad")]
    arguments = (*sources, "-o", folder / "alone", *FLAGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rvm_client.cli.batch.share_one_heap", lambda: None)
        assert invoke(batch, *arguments, "--triton-url", echo_server.grpc_url).exit_code == 1
    with start(cluster, folder) as process:
        busy: list[Any] = []

        def two_are_busy() -> bool:
            busy[:] = busy_machines(cluster)
            return len(busy) > 1

        wait_for(two_are_busy, process)
        *staying, lost = busy
        for node in staying:
            for actor in actors_on(node):
                actor.kill()
        cluster.remove_node(lost, allow_graceful=False)
        out, errors = process.communicate(timeout=90)
    assert process.returncode == 1, errors
    summary = json.loads(out)
    assert (summary["done"], summary["failed"], summary["left"]) == (11, 1, 0)
    for name in (*SLOW, *QUICK):
        made, alone = (folder / where / f"{name}.mp4" for where in ("out", "alone"))
        assert made.read_bytes() == alone.read_bytes()
    lines = [json.loads(line) for line in (folder / "out/report.jsonl").read_text().splitlines()]
    (failed,) = [line for line in lines if line["status"] == "failed"]
    assert failed["error_class"] == "InputError"
    assert failed["error"].startswith(f"{folder / 'bad.mp4'} is not a video")
    assert len(lines) == 12
    assert_nothing_is_left(folder, temporary)


def test_it_shows_how_far_videos_are_and_stopped_it_leaves_nothing_behind(
    cluster: Any, folder: Path, temporary: Path
) -> None:
    write_clip(folder / "slow0.mp4", [index_frame(i) for i in range(12)])
    terminal, its_end = pty.openpty()
    shown = bytearray()

    def is_under_way() -> bool:
        while select.select([terminal], [], [], 0)[0]:
            shown.extend(os.read(terminal, 1 << 16))
        # The frames of the first video, not the videos.
        return re.search(rb"slow0.* [1-9]\d*/12", shown) is not None

    with start(
        cluster, folder, flags=(*FLAGS, "--frames-per-request", "1"), stderr=its_end
    ) as process:
        wait_for(is_under_way, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    is_under_way()
    os.close(its_end)
    os.close(terminal)
    assert process.returncode == 130, shown
    assert b"Traceback" not in shown
    assert_nothing_is_left(folder, temporary)


def test_the_segments_of_a_long_video_are_spread(
    cluster: Any, tmp_path: Path, temporary: Path, echo_server: TritonServer
) -> None:
    """A process that is lost costs the segment that it was at. Every frame of ProRes is whole."""
    frames = [index_frame(number) for number in range(60)]
    clip = write_clip(tmp_path / "long.mp4", frames, rate=Fraction(15))
    flags = ("--no-warm-start", "--output-type", "alpha_prores")
    slowly = ("--downsample-ratio", "0.5", "--split", "1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rvm_client.cli.batch.share_one_heap", lambda: None)
        place = ("-o", tmp_path / "alone", "--triton-url", echo_server.grpc_url)
        assert invoke(batch, clip, *place, *flags).exit_code == 0
    with start(cluster, tmp_path, "long.mp4", (*flags, *slowly)) as process:
        busy: list[psutil.Process] = []

        def two_are_busy() -> bool:
            busy[:] = [actor for node in busy_machines(cluster) for actor in actors_on(node)]
            return len(busy) > 1 and any((tmp_path / "out").glob(".*.parts"))

        wait_for(two_are_busy, process)
        busy[0].kill()
        out, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors
    assert json.loads(out)["done"] == 1
    (line,) = (tmp_path / "out/report.jsonl").read_text().splitlines()
    assert json.loads(line)["segments"] == 4
    made, alone = (pictures(tmp_path / where / "long.mov") for where in ("out", "alone"))
    assert made == alone
    assert_nothing_is_left(tmp_path, temporary)


def pictures(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(video=0) if packet.size]


def assert_nothing_is_left(folder: Path, temporary: Path) -> None:
    deadline_s = time.monotonic() + 20
    # The servers of what was killed notice it within a moment, and so do actors.
    while left := [
        *(folder / "out").glob(".*"),
        *processes_named("tritonserver", environment=str(temporary)),
        *processes_named("triton_python_b", environment=str(temporary)),
    ]:
        assert time.monotonic() < deadline_s, left
        time.sleep(0.1)
