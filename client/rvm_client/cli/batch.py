"""`rvm-batch`: many videos in, a folder or a bucket of matted videos out.

Here are the flags and the end; `rvm_client.batch` has the work.
"""

import json
import math
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvm_client import __version__
from rvm_client.cli.flags import background_of, batch_flags, matte_options, row_flags
from rvm_client.config import Settings, load_settings
from rvm_client.errors import RvmError, StoppedError, UsageError
from rvm_client.machine import naming_want_of_memory, share_one_heap
from rvm_client.output_types import OutputType
from rvm_client.signals import Signalled, stop_on_signals

if TYPE_CHECKING:
    from rvm_client.batch import Engine, Item, Listed, Target

_SOME_FAILED = 1
_BY_SIGNAL = 128
REPORT_NAME = "report.jsonl"
# Most of a shorter one would be matted twice.
_SHORTEST_SEGMENT_SECONDS = 0.5


@dataclass(frozen=True)
class _Where:
    """Who mattes, and where results and report go."""

    output: str | None
    report: Path | None
    triton_url: str | None
    runpod: str | None
    in_flight: int
    cluster: str | None
    split: float | str
    """Seconds, "auto" or "off"."""

    def __post_init__(self) -> None:
        if self.runpod is None and self.output is None:
            raise UsageError("give the folder or the bucket for the results with -o")
        places = {
            "--triton-url": self.triton_url,
            "--runpod": self.runpod,
            "--cluster": self.cluster,
        }
        given = [flag for flag, place in places.items() if place is not None]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} are several places to matte; give one")
        if self.runpod is not None and self.split != "off":
            raise UsageError("a RunPod endpoint mattes each video whole; leave --split out")


class _Split(click.ParamType[float | str]):
    name = "auto|off|SECONDS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        if value in ("auto", "off"):
            return str(value)
        seconds = math.nan
        with suppress(ValueError):
            seconds = float(value)
        if not _SHORTEST_SEGMENT_SECONDS <= seconds < math.inf:
            shortest = f"{_SHORTEST_SEGMENT_SECONDS:g}"
            self.fail(f"{value!r} is neither auto, off nor at least {shortest} seconds", param, ctx)
        return seconds


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("sources", metavar="SOURCES...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FOLDER|s3://BUCKET/PREFIX",
    help="Where the results go. A folder is made.",
)
@batch_flags
@click.option(
    "--triton-url",
    metavar="HOST:PORT",
    help="A running Triton server (gRPC). Without it one is started for all videos.",
)
@click.option(
    "--runpod",
    metavar="ENDPOINT_ID",
    help="Post the videos, which are URLs, as jobs to a RunPod endpoint. Without -o the results "
    "stay in its store.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Jobs that are on the endpoint at a time.",
)
@click.option(
    "--cluster",
    metavar="auto|HOST:PORT",
    help="Matte on a Ray cluster, with a server for each GPU. "
    "Sources and FOLDER are on all machines.",
)
@click.option(
    "--split",
    type=_Split(),
    default="off",
    show_default=True,
    help="Make long videos in segments, side by side: of about so many seconds, or as fits.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The report, which the next run reads.  [default: {REPORT_NAME} in FOLDER, or here]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.version_option(__version__)
def batch(
    sources: tuple[str, ...],
    output: str | None,
    report: Path | None,
    triton_url: str | None,
    runpod: str | None,
    in_flight: int,
    cluster: str | None,
    split: float | str,
    as_json: bool,
    **flags: Any,
) -> None:
    """Remove the background of many videos.

    SOURCES are files, folders, globs, http(s) URLs, and lists: .txt with a source a line, .csv and
    .jsonl with a column `source` and options of each row. What was done before is left out.
    """
    stop_on_signals()
    share_one_heap()
    try:
        settings = load_settings()
        where = _Where(output, report, triton_url, runpod, in_flight, cluster, split)
        with naming_want_of_memory():
            status = _run(sources, where, flags, settings, as_json=as_json)
    except RvmError as exc:
        _say(exc, as_json)
        status = exc.exit_code
    except KeyboardInterrupt as exc:
        _say(StoppedError("stopped"), as_json)
        status = _status_of(exc)
    sys.exit(status)


def _run(
    sources: Sequence[str], where: _Where, flags: dict[str, Any], settings: Settings, as_json: bool
) -> int:
    """Do the batch. Returns the exit status."""
    from rvm_client.batch import Report, Summary, find_sources, named, open_target, run_batch
    from rvm_client.cli.batch_display import BatchDisplay, show_summary

    target = None if where.output is None else open_target(where.output, settings)
    folder = None if target is None else target.folder
    items = _items(find_sources(sources, folder), flags)
    summary = Summary()
    with ExitStack() as stack:
        engine = stack.enter_context(_engine(where, settings, target))
        if where.split != "off":
            engine = _splitting(engine, where, folder)
        engine.check(items)
        if target is not None:
            target.check()
        models = {kind: engine.model(kind) for kind in {item.options.variant for item in items}}
        path = where.report or (folder or Path()) / REPORT_NAME
        report = stack.enter_context(Report(path))
        items = [
            item.with_key(models[item.options.variant])
            for item in named(items, report.taken, folder)
        ]
        display = stack.enter_context(BatchDisplay(quiet=as_json))
        try:
            run_batch(items, engine, target, report, display, summary)
        except (RvmError, KeyboardInterrupt):
            stack.close()
            show_summary(summary, report.path, as_json=False, to_stderr=True)
            raise
        stack.close()
        show_summary(summary, report.path, as_json=as_json)
    return _SOME_FAILED if summary.failures else 0


def _engine(where: _Where, settings: Settings, target: "Target | None") -> "Engine":
    from rvm_client.batch import Cluster, Here, RunPod, RunPodApi

    if where.runpod is not None:
        api = RunPodApi.configured(where.runpod, settings)
        return RunPod(api, where.runpod, settings, target, where.in_flight)
    assert target is not None
    assert where.output is not None
    if where.cluster is not None:
        return Cluster(where.cluster, where.output)
    return Here(settings, target, where.triton_url or settings.triton_url)


def _splitting(engine: "Engine", where: _Where, folder: Path | None) -> "Engine":
    from rvm_client.batch import Splitting, Wish

    seconds = None if isinstance(where.split, str) else where.split
    return Splitting(engine, Wish(seconds, folder, many_machines=where.cluster is not None))


def _items(listed: Sequence["Listed"], flags: dict[str, Any]) -> list["Item"]:
    """Each source with its options: those of its row come before the flags.

    Raises:
        UsageError: an option cannot be accepted; of a row, it names the row.
    """
    return [_item(source, flags) for source in listed]


def _item(listed: "Listed", flags: dict[str, Any]) -> "Item":
    from rvm_client.batch import Item

    try:
        given = flags | row_flags(listed.row)
        preview, background = given.pop("preview"), given.pop("background")
        behind = background_of(background)
        options = matte_options(
            OutputType(given.pop("output_type")),
            background=Path() if isinstance(behind, str) else behind,
            **given,
        )
    except UsageError as exc:
        if listed.place:
            raise UsageError(f"{listed.place}: {exc}") from exc
        raise
    return Item(listed.source, options, behind if isinstance(behind, str) else None, preview)


def _say(error: RvmError, as_json: bool) -> None:
    text = json.dumps({"error": str(error)}) if as_json else f"error: {error}"
    click.echo(text, err=not as_json)


def _status_of(exc: KeyboardInterrupt) -> int:
    number = exc.number if isinstance(exc, Signalled) else signal.SIGINT
    return _BY_SIGNAL + number
