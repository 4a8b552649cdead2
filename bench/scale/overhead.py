"""What Ray costs, measured on a cluster of one machine: this one."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.clips import write_clip
from bench.report import Rows
from rvm_client.batch import Item, Outcome, Report, Status
from rvm_client.options import MatteOptions
from rvm_client.output_types import FileRole

_BATCH = [sys.executable, "-c", "from rvm_client.cli.batch import batch; batch()"]
_CALLS = 2000
_LINES = 500
_ITEMS = 40
_REPETITIONS = 3
# Whose memory is shown, by a part of the command.
_PROCESSES = {
    "gcs_server": "head: control store",
    "raylet/raylet": "each machine: raylet",
    "dashboard/agent.py": "each machine: agent",
    "log_monitor.py": "each machine: log monitor",
    "ray::Matter": "each machine: actor",
}
MB = 1 << 20


def measure_overhead() -> dict[str, Rows]:
    """By title: calls, a batch with and without Ray, memory."""
    with tempfile.TemporaryDirectory(prefix="ray") as name, _cluster(Path(name)) as address:
        return {
            "Ray alone, ms a call": _calls(address),
            "The report, ms a line": _report(Path(name)),
            "A batch of videos of one frame": _batch(Path(name), address),
            "Memory, MB": _memory(Path(name), address),
        }


@contextmanager
def _cluster(folder: Path) -> Iterator[str]:
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    head = {"num_cpus": 2, "include_dashboard": False}
    cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield str(cluster.address)
    finally:
        cluster.shutdown()


def _calls(address: str) -> dict[str, dict[str, float]]:
    """An actor that does nothing, with so many calls under way as there may be machines."""
    ray: Any = importlib.import_module("ray")
    ray.init(address=address, logging_level="error", log_to_driver=False)

    class Nothing:
        def do(self, value: object) -> object:
            return value

    rows = {}
    try:
        actor = ray.remote(max_concurrency=32)(Nothing).remote()
        ray.get(actor.do.remote(0))
        for at_once in (1, 100, 1000):
            # Of this process, through which all items go.
            started_s, busy_s = time.perf_counter(), time.process_time()
            calls = {actor.do.remote({"source": "x" * 200}) for _ in range(at_once)}
            left = _CALLS - at_once
            while calls:
                # As the engine does: one answer at a time.
                (done,), _ = ray.wait(list(calls), num_returns=1)
                calls.discard(done)
                ray.get(done)
                if left:
                    left -= 1
                    calls.add(actor.do.remote({"source": "x" * 200}))
            elapsed_s = time.perf_counter() - started_s
            busy_s = time.process_time() - busy_s
            rows[f"{at_once} under way"] = {
                "ms": round(1000 * elapsed_s / _CALLS, 2),
                "ms_of_the_driver_s_processor": round(1000 * busy_s / _CALLS, 2),
            }
    finally:
        ray.shutdown()
    return rows


def _report(folder: Path) -> dict[str, dict[str, float]]:
    """A line for each item, on the disk before the next one counts."""
    item = Item("x.mp4", MatteOptions(), name="x", key="0" * 32, model_name="rvm_mobilenetv3")
    with Report(folder / "report.jsonl") as report:
        started_s = time.perf_counter()
        for _ in range(_LINES):
            report.write(Outcome(item, Status.DONE, {FileRole.OUTPUT: "x.mp4"}))
        elapsed_s = time.perf_counter() - started_s
    return {"written": {"ms": round(1000 * elapsed_s / _LINES, 2)}}


def _batch(folder: Path, address: str) -> dict[str, dict[str, float]]:
    """The same videos here and on the cluster; what one more video takes, and what the start."""
    clip = write_clip(folder / "clip.mp4", 64, 64, 1)
    for index in range(_ITEMS):
        shutil.copy(clip, folder / f"{index}.mp4")
    ways = {"in this process": (), "on Ray": ("--cluster", address)}
    # The least of some, taken in turns, is what others disturb least.
    runs = [
        (way, _run(folder, 1, flags), _run(folder, _ITEMS, flags))
        for _ in range(_REPETITIONS)
        for way, flags in ways.items()
    ]
    rows = {}
    for way in ways:
        one_s = min(first_s for other, first_s, _ in runs if other == way)
        all_s = min(last_s for other, _, last_s in runs if other == way)
        rows[way] = {
            "s of the first": round(one_s, 2),
            "ms of each more": round(1000 * (all_s - one_s) / (_ITEMS - 1), 1),
        }
    return rows


def _run(folder: Path, count: int, flags: tuple[str, ...]) -> float:
    shutil.rmtree(folder / "out", ignore_errors=True)
    sources = [f"{index}.mp4" for index in range(count)]
    command = [*_BATCH, *sources, "-o", "out", "--json", "--no-warm-start", *flags]
    started_s = time.perf_counter()
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    elapsed_s = time.perf_counter() - started_s
    assert json.loads(done.stdout)["done"] == count
    return elapsed_s


def _memory(folder: Path, address: str) -> dict[str, dict[str, float]]:
    """While a batch runs: resident memory that is no one else's, and all that is resident."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    sources = [f"{index}.mp4" for index in range(_ITEMS)]
    command = [*_BATCH, *sources, "-o", "out", "--json", "--no-warm-start", "--cluster", address]
    rows: dict[str, dict[str, float]] = {}
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            _note_memory(rows, {"rvm_client.cli.batch": "driver: rvm-batch", **_PROCESSES})
            time.sleep(0.5)
    return rows


def _note_memory(rows: dict[str, dict[str, float]], names: dict[str, str]) -> None:
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            title = next((title for part, title in names.items() if part in command), None)
            if title is None:
                continue
            memory = process.memory_full_info()
        except psutil.Error:
            continue
        if memory.uss / MB > rows.get(title, {}).get("own", 0):
            rows[title] = {"own": round(memory.uss / MB), "resident": round(memory.rss / MB)}
