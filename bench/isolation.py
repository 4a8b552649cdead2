"""What it costs that a process of its own decodes: whole videos in turn, and the start of a job."""

import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.clips import write_clip
from bench.settings import BenchSettings
from rvm_client.isolated import DecoderLimits, DecoderPool, Opener, OpensHere
from rvm_client.matte import MattingModel
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline import matte_video
from rvm_client.server import TritonServer

_LIMITS = DecoderLimits(memory_bytes=3 << 30, cpu_seconds=7200, timeout_s=120)
# A job of a video that is matted in the worker's own process, and one in another.
_HERE, _PROCESS = "in the worker", "in a process"


def measure_isolation(
    settings: BenchSettings, folder: Path, server: TritonServer
) -> dict[str, dict[str, float]]:
    """Milliseconds a frame both ways, medians of pairs in turn, and seconds to begin a job."""
    uses_gpu = settings.hardware.has_gpu
    rows: dict[str, dict[str, float]] = {}
    started_s = time.perf_counter()
    with DecoderPool(_LIMITS, uses_gpu=uses_gpu) as pool, MattingModel(server.grpc_url) as model:
        pool.ready()
        rows["start of a process"] = {"seconds": round(time.perf_counter() - started_s, 3)}
        rows["a job until its process is at hand"] = _begin_seconds(pool, folder)
        for name, (height, width, ratio) in settings.sizes.items():
            clip = write_clip(folder / f"{name}.mp4", height, width, settings.clip_frames)
            for kind in (OutputType.GREENSCREEN, OutputType.ALPHA):
                options = MatteOptions(kind, downsample_ratio=ratio)
                target = folder / f"out{kind.suffix}"
                limits = Limits(hardware=settings.hardware)
                job = partial(matte_video, clip, target, model, options, limits)
                rows |= _pairs(f"{name} {kind.value}", job, pool, clip, settings)
    return rows


def _begin_seconds(pool: DecoderPool, folder: Path) -> dict[str, float]:
    seconds = []
    for _ in range(5):
        pool.ready()
        before_s = time.perf_counter()
        with pool.job(folder, threading.Event()):
            seconds.append(time.perf_counter() - before_s)
    return {"seconds": round(statistics.median(seconds), 4)}


def _pairs(
    name: str,
    job: Callable[..., object],
    pool: DecoderPool,
    clip: Path,
    settings: BenchSettings,
) -> dict[str, dict[str, float]]:
    times: dict[str, list[float]] = {_HERE: [], _PROCESS: []}
    for repetition in range(settings.repetitions + 1):
        # Whichever comes first may find the machine as the last pair left it.
        for way in (_HERE, _PROCESS) if repetition % 2 else (_PROCESS, _HERE):
            seconds = _timed(job, pool, clip.parent, isolated=way == _PROCESS)
            if repetition:
                times[way].append(1000 * seconds / settings.clip_frames)
    ratios = [b / a for a, b in zip(times[_HERE], times[_PROCESS], strict=True)]
    rows = {
        f"{name}, {way}": {
            "median_ms": round(statistics.median(ms), 2),
            "min_ms": round(min(ms), 2),
        }
        for way, ms in times.items()
    }
    rows[f"{name}, {_PROCESS}"]["median_of_pairs_percent"] = round(
        100 * (statistics.median(ratios) - 1), 1
    )
    return rows


def _timed(job: Callable[..., object], pool: DecoderPool, folder: Path, *, isolated: bool) -> float:
    """A whole job's seconds. The next process starts between the jobs, as it does in a worker."""
    pool.ready()
    if not isolated:
        return _seconds(job, OpensHere())
    before_s = time.perf_counter()
    with pool.job(folder, threading.Event()) as opener:
        job(opener=opener)
    return time.perf_counter() - before_s


def _seconds(job: Callable[..., object], opener: Opener) -> float:
    before_s = time.perf_counter()
    job(opener=opener)
    return time.perf_counter() - before_s
