"""`rvm-export evaluate` and `make-dataset`."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from rvm_client.options import QUALITY_LONGEST_SIDE_PIXELS, MatteOptions
from rvm_client.refinements import SOURCE_TYPES, Refinements, SourceType
from rvm_export import evaluate as evaluating
from rvm_export.cli.shared import (
    device_option,
    one_line_errors,
    repository_option,
    say,
    variant_option,
)
from rvm_export.config import default_repository
from rvm_export.errors import UsageError
from rvm_export.repository import Repository
from rvm_export.wire import ModelKind, Variant


@click.command()
@click.option(
    "--dataset",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="A folder with CLIP/com, CLIP/pha and CLIP/fgr for each clip.",
)
@click.option("--version", type=click.IntRange(min=1), help="Default: the highest.")
@variant_option
@repository_option
@click.option(
    "--ratio",
    default="auto",
    show_default=True,
    metavar="auto|NUMBER",
    help="The downsample ratio; auto chooses by the size of the frames, as rvm-matte does.",
)
@click.option(
    "--prefer-quality",
    is_flag=True,
    help=f"auto lets the network see up to {QUALITY_LONGEST_SIDE_PIXELS} pixels.",
)
@click.option(
    "--warm-start/--no-warm-start",
    default=True,
    help="Show the model the first frames of each scene before they count. Default: yes.",
)
@click.option("--cuts/--no-cuts", default=True, help="Begin anew at each cut. Default: yes.")
@click.option(
    "--source-type",
    type=click.Choice(SOURCE_TYPES),
    default=Refinements.source_type,
    show_default=True,
    help="As for rvm-matte: green_screen keys the mattes.",
)
@device_option
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write this."
)
def evaluate(
    dataset: Path,
    version: int | None,
    variant: str,
    repository: Path | None,
    ratio: str,
    prefer_quality: bool,
    warm_start: bool,
    cuts: bool,
    source_type: SourceType,
    device: str,
    json_file: Path | None,
) -> None:
    """Measure a version against true alphas."""
    with one_line_errors():
        options = replace(
            _options(ratio, prefer_quality), refinements=Refinements(source_type=source_type)
        )
        how = evaluating.ScenesAndRatio(options, warm_start, cuts)
        _check_can_write(json_file)
        clips = evaluating.find_clips(dataset)
        model = Repository(repository or default_repository(), ModelKind(Variant(variant)))
        chosen = evaluating.Version.load(model, version, device)
        with _progress("Evaluating", sum(len(clip.stems) for clip in clips)) as on_frame:
            result = evaluating.evaluate(clips, chosen, how, on_frame)
        if json_file is not None:
            _write(json_file, {"dataset": str(dataset), **result.as_dict()})
        # A pipe has no width: whole lines, however long.
        console = Console(width=None if sys.stdout.isatty() else 250, highlight=False)
        console.print(f"{model.kind.name} version {chosen.number}, {dataset}")
        console.print(evaluating.table_of(result))
        console.print(evaluating.PAPER_NOTE, style="dim")


def _options(ratio: str, prefer_quality: bool) -> MatteOptions:
    if ratio == "auto":
        if prefer_quality:
            return MatteOptions(longest_side_pixels=QUALITY_LONGEST_SIDE_PIXELS)
        return MatteOptions()
    if prefer_quality:
        raise UsageError(f"--ratio {ratio} and --prefer-quality both say the ratio; give one")
    try:
        number = float(ratio)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise UsageError(f"--ratio is {ratio}; it must be auto, or above 0 and at most 1")
    return MatteOptions(downsample_ratio=number)


def _check_can_write(path: Path | None) -> None:
    """Before the work, not after it."""
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageError(f"--json {path}: there is no folder {path.parent}")


def _write(path: Path, result: dict[str, object]) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(f"{json.dumps(result, indent=2)}\n", "utf-8")
        temporary.replace(path)
    except OSError as exc:
        raise UsageError(f"cannot write {path}: {exc.strerror}") from exc
    finally:
        temporary.unlink(missing_ok=True)


@click.command("make-dataset")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--clips",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help=f"Of these kinds, in turn: {', '.join(kind.name for kind in evaluating.KINDS)}.",
)
@click.option(
    "--frames", type=click.IntRange(min=1), default=48, show_default=True, help="Of each clip."
)
@click.option("--size", default="512x288", show_default=True, metavar="WxH", help="Of the frames.")
@click.option("--screen", is_flag=True, help="Before a screen of one colour, with noise and H.264.")
def make_dataset(folder: Path, seed: int, clips: int, frames: int, size: str, screen: bool) -> None:
    """Make a set with true alphas, for evaluate, in FOLDER."""
    with one_line_errors():
        width, height = _size(size)
        made = evaluating.MadeSet(seed, clips, frames, width, height, screen)
        with _progress("Making", clips * frames) as on_frame:
            evaluating.make_dataset(folder, made, on_frame)
        click.echo(folder)


def _size(text: str) -> tuple[int, int]:
    low, high = evaluating.SIZE_BOUNDS_PIXELS
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text)
    if not match or not all(low <= int(side) <= high for side in match.groups()):
        raise UsageError(f"--size is {text}; it must be WIDTHxHEIGHT, each {low} to {high} pixels")
    return int(match[1]), int(match[2])


@contextmanager
def _progress(what: str, frames: int) -> Iterator[Callable[[], None]]:
    """What to call after each frame; shown on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        say(f"{what}: {frames} frames")
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=frames)
        yield lambda: progress.advance(task)
