"""`rvm-export diff`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from rvm_export.cli.shared import (
    device_option,
    models_of,
    one_line_errors,
    repository_option,
    say,
)
from rvm_export.compare import (
    LEVELS,
    REFERENCE,
    Comparison,
    Found,
    FrameDifference,
    Side,
    compare,
    find_version,
    golden_clips,
    reference_side,
    version_side,
    video_clip,
    write_picture,
    write_whole,
)
from rvm_export.config import cache_folder
from rvm_export.errors import UsageError
from rvm_export.export import check_device
from rvm_export.weights import Weights, read_weights, weights_again

# Rows of a table: more frames than that are summed up, and the worst are shown.
_MOST_ROWS = 12
_FRAMES_A_WORD = 100


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--clip",
    type=click.Path(path_type=Path),
    help="A video, at the ratio that rvm-matte chooses. Default: the golden frames.",
)
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Write a PNG of where they differ."
)
@click.option(
    "--most-alpha",
    type=click.FloatRange(0, 255),
    help="Levels of alpha that they may differ by. Default: 1, or 8 if one of them is fp16.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="Weights of the reference. Default: those of the other version, if they are still there.",
)
@device_option
@repository_option
def diff(
    a: str,
    b: str,
    clip: Path | None,
    picture: Path | None,
    most_alpha: float | None,
    json_file: Path | None,
    checkpoint: Path | None,
    device: str,
    repository: Path | None,
) -> None:
    """Compare two versions, frame by frame.

    A and B are each a version's number, MODEL/NUMBER, a version's folder, or `reference`: the
    network in float32, as PyTorch runs it line by line. The exit status is 1 where alpha differs
    by more than is allowed.
    """
    with one_line_errors():
        check_device(device)
        clips = [video_clip(clip)] if clip else golden_clips()
        one, other = _sides((a, b), repository, checkpoint, device)
        comparison = compare(one, other, clips, most_alpha, _say_now_and_then)
        _print(comparison)
        if picture is not None:
            write_picture(picture, comparison.worst)
        if json_file is not None:
            _write_json(json_file, comparison)
        comparison.check()


def _say_now_and_then(frames: int) -> None:
    if frames % _FRAMES_A_WORD == 0:
        say(f"{frames} frames are compared")


def _sides(
    names: tuple[str, str], repository: Path | None, checkpoint: Path | None, device: str
) -> tuple[Side, Side]:
    if names == (REFERENCE, REFERENCE):
        raise UsageError("the reference is itself; give a version on one side at least")
    models = models_of(repository)
    found = [None if name == REFERENCE else find_version(name, models) for name in names]
    versions = [each for each in found if each is not None]
    sides = [
        _reference(versions[0], checkpoint) if each is None else version_side(each, device)
        for each in found
    ]
    return sides[0], sides[1]


def _reference(beside: Found, checkpoint: Path | None) -> Side:
    return reference_side(_weights(beside, checkpoint), beside.kind.layout)


def _weights(beside: Found, checkpoint: Path | None) -> Weights:
    manifest = beside.manifest
    if checkpoint is not None:
        return read_weights(checkpoint, variant=manifest.variant)
    source, sha256 = manifest.weights_source, manifest.weights_sha256
    return weights_again(source, sha256, manifest.variant, cache_folder() / "weights")


def _print(comparison: Comparison) -> None:
    above = ", ".join(str(level) for level in LEVELS)
    columns = ("frame", "alpha max", "mean", f"% above {above}")
    table = Table(*columns, "foreground max", "mean", f"% above {above}", box=None)
    for frame in _shown(comparison.frames):
        table.add_row(f"{frame.clip} {frame.frame}", *_figures(frame))
    table.add_row(f"all {len(comparison.frames)}", *_figures(comparison.summary))
    # A pipe has no width: whole lines, however long.
    console = Console(width=None if sys.stdout.isatty() else 250)
    console.print(f"{comparison.a} and {comparison.b}, in levels of 0 to 255", highlight=False)
    if len(comparison.frames) > _MOST_ROWS:
        console.print(f"The {_MOST_ROWS} frames that differ most, and all", highlight=False)
    console.print(table)


def _shown(frames: tuple[FrameDifference, ...]) -> list[FrameDifference]:
    """Those that differ most, in their order."""
    numbered = sorted(enumerate(frames), key=lambda n: (-n[1].pha_max, -n[1].pha_mean, n[0]))
    return [frame for _, frame in sorted(numbered[:_MOST_ROWS], key=lambda n: n[0])]


def _figures(frame: FrameDifference) -> list[str]:
    alpha = (f"{frame.pha_max:g}", f"{frame.pha_mean:.4f}", _shares(frame.pha_above))
    return [*alpha, f"{frame.fgr_max:g}", f"{frame.fgr_mean:.4f}", _shares(frame.fgr_above)]


def _shares(shares: tuple[float, ...]) -> str:
    return "  ".join(f"{100 * share:.3f}" for share in shares)


def _write_json(path: Path, comparison: Comparison) -> None:
    summary = asdict(comparison.summary)
    summary = {"frames": summary.pop("frame"), **summary}
    values = {
        "a": comparison.a,
        "b": comparison.b,
        "most_alpha": comparison.most_alpha,
        "levels": LEVELS,
        "summary": summary,
        "worst": asdict(comparison.worst.difference),
        "frames": [asdict(frame) for frame in comparison.frames],
    }
    write_whole(path, f"{json.dumps(values, indent=2)}\n".encode(), "--json")
