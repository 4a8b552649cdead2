"""The tables of docs/scale.md, each from its own runs of the simulation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.report import Rows
from bench.scale.costs import CPU, GPU, MB, Plan, Splitting, Spot
from bench.scale.simulation import Result, simulate
from bench.scale.videos import Video, archive, two_hours

WORKERS = (1, 10, 100, 1000)
_HOUR_S = 3600.0
_MINUTE_S = 60.0
# A machine reads of a shared folder what its segment needs.
_FOLDER = replace(GPU, sources_are_read_whole=False)
_SPLIT = Splitting()
_LONG = Splitting(segment_s=20.0)
_LIVES_H = {"never": None, "24 h": 24.0, "4 h": 4.0, "1 h": 1.0, "15 min": 0.25}
# Seconds from cut to cut; assumed.
_FILM, _TALK, _ONE_TAKE = 6.0, 300.0, math.inf


def archive_table(videos: Sequence[Video]) -> Rows:
    """An archive on more and more machines: as it is listed, sorted, and with long videos split."""
    ways = {
        "as listed": Plan(1, _FOLDER),
        "longest first": Plan(1, _FOLDER, longest_first=True),
        "long ones split": Plan(1, _FOLDER, splitting=_SPLIT, longest_first=True),
    }
    return {
        f"{workers}, {way}": _row(simulate(videos, replace(plan, workers=workers)))
        for workers in WORKERS
        for way, plan in ways.items()
    }


def measured_table(videos: Sequence[Video]) -> Rows:
    """The archive on machines without GPU, whose times were measured."""
    costs = replace(CPU, sources_are_read_whole=False)
    return {
        str(workers): _row(
            simulate(videos, Plan(workers, costs, splitting=_SPLIT, longest_first=True))
        )
        for workers in (10, 100, 1000)
    }


def spot_table(videos: Sequence[Video]) -> Rows:
    """The same on 100 machines that are taken back now and then; how long they live on average."""
    rows = {}
    for life, mean_life_h in _LIVES_H.items():
        spot = None if mean_life_h is None else Spot(mean_life_h * _HOUR_S)
        for way, splitting in (("whole", None), ("long ones split", _SPLIT)):
            if life == "15 min" and splitting is None:
                # The longest video needs hours on one machine: it would hardly ever be done.
                continue
            found = simulate(videos, Plan(100, _FOLDER, spot, splitting, longest_first=True))
            rows[f"{life}, {way}"] = {
                "hours": round(found.seconds / _HOUR_S, 2),
                "machine_hours": round(found.machine_s / _HOUR_S, 1),
                "machines_lost": found.lost_machines,
                "begun_again": found.begun_again,
                "work_lost_percent": round(100 * found.lost_s / found.useful_s, 2),
            }
    return rows


def store_table(videos: Sequence[Video]) -> Rows:
    """1,000 machines on stores of other rates, and with segments that fetch whole sources."""
    rows = {}
    for gigabits in (1, 10, 100):
        for way, whole in (("parts are read", False), ("whole sources are fetched", True)):
            costs = replace(GPU, store_mb_s=gigabits * 1e9 / 8 / MB, sources_are_read_whole=whole)
            found = simulate(videos, Plan(1000, costs, splitting=_SPLIT, longest_first=True))
            rows[f"{gigabits} Gbit/s, {way}"] = {
                "hours": round(found.seconds / _HOUR_S, 2),
                "efficiency_percent": round(100 * found.efficiency, 1),
                "terabytes": round(found.store_bytes / 1e12, 2),
            }
    return rows


def long_table() -> Rows:
    """One video of two hours on more and more machines."""
    kinds = {
        "film": (_FILM, _LONG),
        "talk, 1 in 10 fails": (_TALK, replace(_LONG, failing=0.1)),
        "one take, none fails": (_ONE_TAKE, _LONG),
        "one take, 1 in 10 fails": (_ONE_TAKE, replace(_LONG, failing=0.1)),
        "1 in 10 fails, in order": (_ONE_TAKE, replace(_LONG, failing=0.1, in_order=True)),
        "one take, 1 in 2 fails": (_ONE_TAKE, replace(_LONG, failing=0.5)),
        "1 in 2 fails, in order": (_ONE_TAKE, replace(_LONG, failing=0.5, in_order=True)),
    }
    rows = {}
    for kind, (every_s, splitting) in kinds.items():
        video = two_hours(every_s)
        alone_s = simulate([video], Plan(1, _FOLDER)).seconds
        for workers in (10, 100, 1000):
            found = simulate([video], Plan(workers, _FOLDER, splitting=splitting))
            rows[f"{kind}: {workers}"] = _long_row(found, alone_s)
    return rows


def segment_table() -> Rows:
    """The same on 100 machines, with segments of other lengths."""
    rows: dict[str, dict[str, float]] = {}
    kinds = {"film": (_FILM, 0.0), "one take, 1 in 10 fails": (_ONE_TAKE, 0.1)}
    for kind, (every_s, failing) in kinds.items():
        video = two_hours(every_s)
        alone_s = simulate([video], Plan(1, _FOLDER)).seconds
        for segment_s in (10, 20, 60, 120, 300):
            splitting = Splitting(segment_s=segment_s, failing=failing)
            found = simulate([video], Plan(100, _FOLDER, splitting=splitting))
            rows[f"{kind}: {segment_s} s"] = _long_row(found, alone_s)
    return rows


def tables(count: int) -> dict[str, Callable[[], Rows]]:
    """All tables by their titles; archives have so many videos."""
    videos = archive(count)
    return {
        f"An archive of {count:,} videos, by workers": lambda: archive_table(videos),
        f"The {count:,} videos on machines without GPU, long ones split": lambda: measured_table(
            videos
        ),
        f"The {count:,} videos on 100 machines that are taken back": lambda: spot_table(videos),
        f"The {count:,} videos on 1,000 machines, by store": lambda: store_table(videos),
        "Two hours, by workers": long_table,
        "Two hours on 100 machines, by length of segments": segment_table,
    }


def _row(found: Result) -> dict[str, float]:
    return {
        "hours": round(found.seconds / _HOUR_S, 2),
        "machine_hours": round(found.machine_s / _HOUR_S, 1),
        "efficiency_percent": round(100 * found.efficiency, 1),
        "store_MB_s": round(found.store_mb_s),
        "driver_percent": round(100 * found.driver_s / found.seconds, 1),
    }


def _long_row(found: Result, alone_s: float) -> dict[str, float]:
    return {
        "minutes": round(found.seconds / _MINUTE_S, 1),
        "times_as_fast": round(alone_s / found.seconds, 1),
        "segments": found.segments,
        "matted_again": found.redone,
        "efficiency_percent": round(100 * found.efficiency, 1),
    }
