"""The worker as RunPod runs it: jobs an hour with a slow network, and its cold start."""

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.runpod_server import RunPodServer

from bench.clips import SIZES, write_clip
from bench.settings import BenchSettings
from bench.slow_server import SlowServer
from rvm_client.config import process_environment
from rvm_client.server import TritonServer

# On two cores a job then waits for the network about as long as it computes.
_BYTES_A_SECOND = 60_000
_PARTS = ("download", "processing", "upload")
_COLD_START = re.compile(
    r"cold start: (?P<whole>[\d.]+) s to the first frame: (?P<parts>.*); Triton started beside "
    r"the imports, in (?P<triton>[\d.]+) s, (?P<models>[\d.]+) of them for the models"
)


def measure_jobs(
    settings: BenchSettings, folder: Path, server: TritonServer
) -> dict[str, dict[str, float]]:
    """Jobs an hour of one worker that does one at a time, and two; medians of a job's parts."""
    height, width, _ = SIZES["1080p"]
    write_clip(folder / "job.mp4", height, width, settings.clip_frames)
    triton = {"RVM_TRITON_URL": server.grpc_url}
    rows = {}
    with SlowServer(folder, _BYTES_A_SECOND) as network:
        for jobs_at_once in (1, 2):
            environment = triton | {"RVM_JOBS_AT_ONCE": str(jobs_at_once)}
            count = 4 if settings.quick else 8
            with worker(folder, environment) as runpod:
                # One before the others, which loads what a worker loads once.
                do_jobs(runpod, network, "first", 1)
                seconds, outputs = do_jobs(runpod, network, "job", count)
            rows[f"at once: {jobs_at_once}"] = {
                "jobs_an_hour": round(3600 * count / seconds, 1),
                **{
                    f"{part}_s": round(statistics.median(o["seconds"][part] for o in outputs), 2)
                    for part in _PARTS
                },
            }
    return rows


def measure_cold_start(settings: BenchSettings, folder: Path) -> dict[str, dict[str, float]]:
    """The parts of the worker's own line, with a Triton of its own: medians of some runs."""
    height, width, _ = SIZES["1080p"]
    write_clip(folder / "job.mp4", height, width, settings.clip_frames)
    environment = {"RVM_MODEL_REPOSITORY": str(settings.repository)}
    runs = []
    with SlowServer(folder, 10**9) as network:
        for number in range(3 if settings.quick else 5):
            log = folder / f"cold-start-{number}.log"
            with worker(folder, environment, log) as runpod:
                do_jobs(runpod, network, "job", 1)
            runs.append(cold_start_seconds(log.read_text("utf-8")))
    return {
        part: {"seconds": round(statistics.median(run[part] for run in runs), 2)}
        for part in runs[0]
    }


def cold_start_seconds(log: str) -> dict[str, float]:
    """The figures of the line about the cold start, by their names in it."""
    found = _COLD_START.search(log)
    if found is None:
        raise RuntimeError(f"the worker said nothing of its cold start:\n{log}")
    parts = dict(part.rsplit(" ", 1) for part in found["parts"].split(", "))
    parts["whole"] = found["whole"]
    parts["beside: Triton"] = found["triton"]
    parts["beside: its models"] = found["models"]
    return {name: float(seconds) for name, seconds in parts.items()}


@contextmanager
def worker(
    folder: Path, environment: dict[str, str], log: Path | None = None
) -> Iterator[RunPodServer]:
    """A worker that takes jobs from a stand-in of RunPod; ended at the end."""
    store = {"RVM_UPLOAD_FOLDER": str(folder / "results"), "RVM_ALLOW_PRIVATE_ADDRESSES": "true"}
    log = log or folder / "worker.log"
    with RunPodServer() as runpod, log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "rvm_client.worker"],
            env=process_environment() | store | environment | runpod.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield runpod
        except BaseException:
            sys.stderr.write(log.read_text("utf-8"))
            raise
        finally:
            process.terminate()
            process.wait()


def do_jobs(
    runpod: RunPodServer, network: SlowServer, name: str, count: int
) -> tuple[float, list[dict[str, Any]]]:
    """Hand out jobs; returns the seconds until the last is done, and their outputs."""
    started_s = time.perf_counter()
    for number in range(count):
        job = {"video_url": network.url("job.mp4"), "upload_url": network.url("result.mp4")}
        runpod.submit(f"{name}-{number}", job)
    outputs = []
    for number in range(count):
        result = runpod.wait_for_result(f"{name}-{number}")
        if "error" in result:
            raise RuntimeError(result["error"])
        outputs.append(result["output"])
    return time.perf_counter() - started_s, outputs
