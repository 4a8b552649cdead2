"""Interleaved measurements: what disturbs the machine disturbs every candidate alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Sample:
    """Milliseconds a frame, one value for each repetition."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """The processor time of all threads of the process at work; empty if not measured."""

    def as_dict(self) -> dict[str, float]:
        """Median and minimum of each, for the report."""
        row = {"median_ms": statistics.median(self.wall_ms), "min_ms": min(self.wall_ms)}
        if self.cpu_ms:
            row["cpu_ms"] = statistics.median(self.cpu_ms)
        return {name: round(value, 2) for name, value in row.items()}


def interleaved(
    candidates: Mapping[str, Callable[[], tuple[float, float] | None]],
    frames: Mapping[str, int],
    repetitions: int,
) -> dict[str, dict[str, float]]:
    """Each candidate once per round, after one round that does not count.

    A candidate that returns seconds (wall, CPU) has measured itself; others are timed here.
    `frames` says how many frames one call is.
    """
    samples = {name: Sample() for name in candidates}
    for repetition in range(repetitions + 1):
        for name, call in candidates.items():
            wall_s, cpu_s = measured(call)
            if repetition:
                samples[name].wall_ms.append(wall_s * 1000 / frames[name])
                samples[name].cpu_ms.append(cpu_s * 1000 / frames[name])
    return {name: sample.as_dict() for name, sample in samples.items()}


def measured(call: Callable[[], tuple[float, float] | None]) -> tuple[float, float]:
    """Seconds by the clock, and of processor time, for one call."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    own = call()
    if own is not None:
        return own
    return time.perf_counter() - wall_s, time.process_time() - cpu_s
