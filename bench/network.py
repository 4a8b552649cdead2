"""The network alone: our file against what a user would take instead."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.clips import SIZES
from bench.settings import BenchSettings
from bench.timing import interleaved
from rvm_client.closing import Closing
from rvm_client.config import process_environment
from rvm_client.server import SERVER_TUNING
from rvm_export.script import script
from rvm_export.verify import SEED, seeded_network
from rvm_export.wire import Layout, Precision, Variant


class EngineProcess(Closing):
    """A `bench.engine`; a context manager. It gets ready beside others; the first run waits.

    Args:
        as_installed: without the settings of allocator and threads that our server gets, which
            a user of another engine has not.
        options: see `bench.engine`.
    """

    def __init__(self, *, as_installed: bool = False, **options: object) -> None:
        self._arguments = [f"{key}={value}" for key, value in options.items()]
        environment = process_environment() | ({} if as_installed else SERVER_TUNING)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.engine", *self._arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self._is_ready = False

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def run(self) -> tuple[float, float]:
        """Seconds by the clock, and of processor time."""
        assert self._process.stdin is not None
        if not self._is_ready:
            self._read_until("ready")
            self._is_ready = True
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        wall_s, cpu_s = self._line().split()
        return float(wall_s), float(cpu_s)

    def _read_until(self, word: str) -> None:
        # Exporters print on their way.
        while self._line().strip() != word:
            pass

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"an engine ended with status {self._process.wait()}; it was "
                f"{' '.join(self._arguments)}"
            )
        return line


@dataclass(frozen=True)
class Candidate:
    """An engine, and the frames that it gets at once."""

    engine: str
    frames: int
    as_installed: bool = True

    @property
    def name(self) -> str:
        """For the report."""
        ours = "" if self.as_installed or self.engine == "torchscript" else ", our settings"
        return f"{self.engine}, T = {self.frames}{ours}"


def candidates(settings: BenchSettings, size: str) -> list[Candidate]:
    """Our file with the server's settings; the others as installed, and with these settings."""
    chunk = settings.chunk_frames(size)
    found = [
        Candidate("torchscript", count, as_installed=False) for count in dict.fromkeys((1, chunk))
    ]
    found += [Candidate("eager", count) for count in dict.fromkeys((1, chunk))]
    if settings.device == "cpu":
        found += [Candidate("onnxruntime", 1), Candidate("openvino", 1)]
        others = ("eager", "onnxruntime", "openvino")
        found += [Candidate(engine, 1, as_installed=False) for engine in others]
    return found


def engine_options(
    settings: BenchSettings, size: tuple[int, int, float], folder: Path
) -> dict[str, Any]:
    """What all engines are told: height, width and ratio of the frames, the model, the device."""
    height, width, ratio = size
    return {
        "height": height,
        "width": width,
        "ratio": ratio,
        "device": settings.device,
        "threads": settings.threads,
        "folder": folder,
        "model": settings.model_file,
        "precision": settings.precision,
    }


def measure_network(settings: BenchSettings, folder: Path) -> dict[str, dict[str, float]]:
    """Milliseconds a frame of each engine at each size."""
    rows: dict[str, dict[str, float]] = {}
    for name in settings.sizes:
        rows |= measure_candidates(settings, name, candidates(settings, name), folder)
    return rows


def measure_candidates(
    settings: BenchSettings, name: str, engines: list[Candidate], folder: Path
) -> dict[str, dict[str, float]]:
    """Milliseconds a frame of each engine at one size."""
    with ExitStack() as stack:
        processes = {
            f"{name}, {candidate.name}": stack.enter_context(
                EngineProcess(
                    as_installed=candidate.as_installed,
                    engine=candidate.engine,
                    frames=candidate.frames,
                    **engine_options(settings, settings.sizes[name], folder),
                )
            )
            for candidate in engines
        }
        calls = {row: partial(EngineProcess.run, p) for row, p in processes.items()}
        counts = dict(zip(calls, (c.frames for c in engines), strict=True))
        return interleaved(calls, counts, settings.repetitions)


def measure_variants(settings: BenchSettings, folder: Path) -> dict[str, dict[str, float]]:
    """Milliseconds a frame of the model of each variant, T = 1.

    Their weights are drawn from a seed: how long a frame takes does not depend on them.
    """
    files = {variant: folder / f"{variant.value}.pt" for variant in Variant}
    for variant, file in files.items():
        network = seeded_network(SEED, variant)
        torch.jit.save(script(network, Precision(settings.precision).dtype, Layout.RGB), file)
    rows: dict[str, dict[str, float]] = {}
    for size, what in settings.sizes.items():
        options = engine_options(settings, what, folder) | {"engine": "torchscript", "frames": 1}
        with ExitStack() as stack:
            calls = {
                f"{size}, {variant.value}": partial(
                    EngineProcess.run,
                    stack.enter_context(EngineProcess(**options | {"model": file})),
                )
                for variant, file in files.items()
            }
            rows |= interleaved(calls, dict.fromkeys(calls, 1), settings.repetitions)
    return rows


def measure_threads(settings: BenchSettings, folder: Path) -> dict[str, dict[str, float]]:
    """Frames a second of two streams at once, by the threads that each may use."""
    options = engine_options(settings, SIZES["1080p"], folder)
    rows = {}
    for streams, threads in ((1, 1), (1, 2), (2, 1), (2, 2)):
        with ExitStack() as stack:
            processes = [
                stack.enter_context(
                    EngineProcess(engine="torchscript", frames=1, **options | {"threads": threads})
                )
                for _ in range(streams)
            ]
            wall_s = run_together(processes, settings.repetitions)
        fps = streams * settings.repetitions / wall_s
        rows[f"streams: {streams}, threads each: {threads}"] = {"total_fps": round(fps, 2)}
    return rows


def run_together(processes: list[EngineProcess], repetitions: int) -> float:
    """Seconds until each process has run `repetitions` times beside the others."""

    def run_all(process: EngineProcess) -> None:
        for _ in range(repetitions):
            process.run()

    for process in processes:
        process.run()
    started_s = time.perf_counter()
    with ThreadPoolExecutor(len(processes)) as pool:
        list(pool.map(run_all, processes))
    return time.perf_counter() - started_s
