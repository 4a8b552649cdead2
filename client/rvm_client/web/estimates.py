"""How long a job will take and how large its files will be, by what was measured here before."""

import math
from collections.abc import Collection, Iterable
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.web.database import Measure, Measures
from rvm_client.web.records import Video

if TYPE_CHECKING:
    from rvm_client.pipeline import MatteResult

_PIXELS_PER_UNIT = 1e6
# What a new measure counts against all before.
_NEW_PART = 0.5


def note_measure(measures: Measures, options: MatteOptions, result: "MatteResult") -> None:
    """Keep what a job took, for the estimates of those after it."""
    size = (result.width_pixels, result.height_pixels)
    units = result.frames * math.prod(size) / _PIXELS_PER_UNIT
    if not units:
        return
    made = {result.output_type: result.files, **result.also}
    sizes = {
        kind.value: sum(path.stat().st_size for path in files.values()) / units
        for kind, files in made.items()
    }
    kind = _kind(options, made, size)
    new, old = Measure(result.processing_seconds / units, sizes), measures.of(kind)
    measures.note(kind, new if old is None else _mixed(old, new))


def estimate(
    video: Video,
    options: MatteOptions,
    wanted: Collection[OutputType],
    made: Collection[OutputType],
    measures: Measures,
) -> dict[str, Any]:
    """Seconds and bytes of a job, and what that is based on; None where nothing is known.

    Args:
        video: what it is done to.
        options: how.
        wanted: the types of output that count.
        made: those, and what is made beside for looking at.
        measures: what is known of earlier work.
    """
    size, frames = _size(video, options), _frames(video, options)
    units = None if frames is None else frames * math.prod(size) / _PIXELS_PER_UNIT
    same, known = measures.of(_kind(options, made, size)), measures.all()
    if units is None or not known:
        return {"seconds": None, "bytes": None, "based_on": "nothing was measured here yet"}
    like = [same] if same is not None else list(known.values())
    seconds = fmean(measure.seconds_per_unit for measure in like) * units
    sizes = [_bytes_per_unit(kind, like, known.values()) for kind in wanted]
    size_known = all(per_unit is not None for per_unit in sizes)
    return {
        "seconds": round(seconds, 1),
        "bytes": round(sum(filter(None, sizes)) * units) if size_known else None,
        "based_on": _based_on(same, sum(measure.times for measure in like)),
    }


def _mixed(old: Measure, new: Measure) -> Measure:
    def mix(before: float, now: float) -> float:
        return before + _NEW_PART * (now - before)

    sizes = {
        name: mix(old.bytes_per_unit.get(name, size), size)
        for name, size in new.bytes_per_unit.items()
    }
    seconds = mix(old.seconds_per_unit, new.seconds_per_unit)
    return Measure(seconds, sizes, old.times + 1)


def _kind(options: MatteOptions, made: Iterable[OutputType], size: tuple[int, int]) -> str:
    """Work that takes about the same for each pixel."""
    seen_pixels = options.ratio_for(*size) * max(size)
    quality = "quality" if options.prefer_quality else "usual"
    names = "+".join(sorted(kind.value for kind in made))
    return f"{options.model} {round(math.log2(seen_pixels))} {quality} {names}"


def _bytes_per_unit(
    kind: OutputType, like: Iterable[Measure], others: Iterable[Measure]
) -> float | None:
    for measures in (like, others):
        found = [m.bytes_per_unit[kind.value] for m in measures if kind.value in m.bytes_per_unit]
        if found:
            return fmean(found)
    return None


def _based_on(same: Measure | None, times: int) -> str:
    jobs = "1 job" if times == 1 else f"{times} jobs"
    return f"{jobs} {'like this one' if same is not None else 'of other kinds'} on this machine"


def _size(video: Video, options: MatteOptions) -> tuple[int, int]:
    width, height = video.width or 1, video.height or 1
    scale = min(
        1.0,
        (options.max_width_pixels or width) / width,
        (options.max_height_pixels or height) / height,
    )
    return max(1, round(width * scale)), max(1, round(height * scale))


def _frames(video: Video, options: MatteOptions) -> float | None:
    if video.fps is None or video.duration_seconds is None:
        return video.frames
    end = min(video.duration_seconds, options.end_seconds or math.inf)
    return max(0.0, end - (options.start_seconds or 0.0)) * video.fps
