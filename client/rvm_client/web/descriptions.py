"""A job of the page for other programs: as the JSON of an endpoint's job, and as a command."""

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rvm_client.job import Job
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.web.records import Video
from rvm_client.web.wishes import Wish

_ANY_PLACE = "https://example.com/"
_BACKGROUND = "background"
# Flags of the command by the names of options; what is not here has no flag.
_NUMBERS = {
    "downsample_ratio": "--downsample-ratio",
    "start_seconds": "--start-seconds",
    "end_seconds": "--end-seconds",
    "max_width_pixels": "--max-width",
    "max_height_pixels": "--max-height",
    "crf": "--crf",
    "bitrate_bits_per_second": "--bitrate",
}
# Fields that the options tell; any other has a flag of its own name, which takes it as text.
_TOLD = {
    *("video_url", "output_type", "downsample_ratio", "speed", "preset", "background", "audio"),
    *("warm_start", "trim", "start_seconds", "end_seconds", "max_width", "max_height"),
    *("crf", "bitrate"),
}
_USUAL = {field.name: field.default for field in fields(MatteOptions)}


def describe(wish: Wish, video: Video) -> dict[str, list[Any]]:
    """Of each type of output one job and one command."""
    jobs = [{"input": _named(wish.input_of(kind), video, wish)} for kind in wish.output_types]
    commands = [shlex.join(_command(wish.job_of(kind), wish, video)) for kind in wish.output_types]
    return {"jobs": jobs, "commands": commands}


def _named(job_input: dict[str, Any], video: Video, wish: Wish) -> dict[str, Any]:
    """With the URLs of files that are here only, as they would be elsewhere."""
    named = {**job_input, "video_url": f"{_ANY_PLACE}{quote(video.name)}"}
    if wish.background_id is not None and OutputType(named["output_type"]).facts.takes_background:
        named["background"] = f"{_ANY_PLACE}{_BACKGROUND}"
    return named


def _command(job: Job, wish: Wish, video: Video) -> list[str]:
    options = job.matte_options(Path())
    kind = job.output_type
    # A name is no option, whatever it begins with.
    name = video.name if not video.name.startswith("-") else f"./{video.name}"
    target = f"{Path(name).stem}-{kind.value}{kind.suffix}"
    words = ["rvm-matte", name, "-o", target, "--output-type", kind.value]
    for option, flag in _NUMBERS.items():
        value = getattr(options, option)
        if value != _USUAL[option]:
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    if options.prefer_quality:
        words.append("--prefer-quality")
    if options.model != _USUAL["model"]:
        words += ["--model", options.model]
    words += ["--no-audio"] * (not options.audio) + ["--no-warm-start"] * (not options.warm_start)
    given = wish.input_of(kind)
    if "subject" in given:
        given["subject"] = options.refinements.subject.text
    words += _same_named(given)
    if job.background is not None:
        words += ["--background", job.background]
    elif wish.background_id is not None and kind.facts.takes_background:
        words += ["--background", _BACKGROUND]
    return words


def _same_named(job_input: dict[str, Any]) -> list[str]:
    words = []
    for name, value in job_input.items():
        if name not in _TOLD:
            words += [f"--{name.replace('_', '-')}", _as_text(value)]
    return words


def _as_text(value: Any) -> str:
    """As flags write it: boxes as `a,b,c,d;...`, an object as `name=value,...`."""
    if isinstance(value, list):
        rows = all(isinstance(row, list) for row in value)
        return ";".join(",".join(map(str, row)) for row in value) if rows else _pair(value)
    if isinstance(value, dict):
        pairs = value.items()
        return ",".join(f"{name.removesuffix('_pixels')}={_as_text(x)}" for name, x in pairs)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pair(values: list[Any]) -> str:
    return ":".join(map(_as_text, values))
