"""The command `rvm-export`: make, list and verify versions of the model."""

import json
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console
from rich.table import Table

from rvm_export import export as exporting
from rvm_export.contract import Layout, Precision
from rvm_export.errors import ExportError
from rvm_export.manifest import Manifest
from rvm_export.repository import Repository
from rvm_export.settings import cache_folder, default_repository
from rvm_export.weights import Source, Weights, fetch_weights, read_weights

Command = Callable[..., None]

_repository_option: Callable[[Command], Command] = click.option(
    "--repository",
    type=click.Path(file_okay=False, path_type=Path),
    help="Model repository. Default: $RVM_MODEL_REPOSITORY, else ./model_repository.",
)
_device_option: Callable[[Command], Command] = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where the model is checked. The file runs on either.",
)


@click.group()
def main() -> None:
    """Make, list and verify versions of the RVM model in a Triton model repository."""
    # TorchScript is what Triton's PyTorch backend loads; PyTorch calls it deprecated.
    warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)
    signal.signal(signal.SIGTERM, _exit_on_sigterm)


def _exit_on_sigterm(number: int, _frame: object) -> NoReturn:
    # An exception, so that what is half made is removed on the way out.
    sys.exit(128 + number)


@main.command()
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="rvm_mobilenetv3.pth, or rvm.json with rvm.bin beside it. Default: fetched.",
)
@click.option(
    "--weights",
    "source",
    type=click.Choice([source.value for source in Source]),
    default=Source.AUTO.value,
    show_default=True,
    help="What to fetch without --checkpoint.",
)
@click.option("--weights-sha256", help="Hash that the official checkpoint must have.")
@click.option(
    "--precision",
    type=click.Choice([precision.value for precision in Precision]),
    default=Precision.FP32.value,
    show_default=True,
    help="Of the weights and the states.",
)
@click.option(
    "--layout",
    type=click.Choice([*(layout.value for layout in Layout), "both"]),
    default=Layout.RGB.value,
    show_default=True,
    help="Of the pictures that the model takes and gives: a model for each.",
)
@_device_option
@click.option("--version", type=click.IntRange(min=1), help="Default: the next number.")
@_repository_option
def export(
    checkpoint: Path | None,
    source: str,
    weights_sha256: str | None,
    precision: str,
    layout: str,
    device: str,
    version: int | None,
    repository: Path | None,
) -> None:
    """Make a version: TorchScript, verified before it is published."""
    with _one_line_errors():
        layouts = tuple(Layout) if layout == "both" else (Layout(layout),)
        path = repository or default_repository()
        options = exporting.ExportOptions(path, layouts, Precision(precision), device, version)
        exporting.check_options(options)
        weights = _weights(checkpoint, source, weights_sha256)
        _say(f"Weights: {weights.source} (SHA-256 {weights.sha256})")
        for folder in exporting.export(weights, options, _say):
            click.echo(folder)


def _weights(checkpoint: Path | None, source: str, sha256: str | None) -> Weights:
    if checkpoint is not None:
        return read_weights(checkpoint, sha256)
    return fetch_weights(cache_folder() / "weights", _say, Source(source), sha256=sha256)


@main.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_repository_option
def list_versions(as_json: bool, repository: Path | None) -> None:
    """List the versions of all models and what they are made of."""
    with _one_line_errors():
        versions = [
            (folder.layout.model_name, number, Manifest.read(folder.version_folder(number)))
            for folder in _models(repository)
            for number in folder.versions()
        ]
        if as_json:
            rows = [{"model": name, "version": n, **asdict(m)} for name, n, m in versions]
            click.echo(json.dumps(rows, indent=2))
        else:
            _print_table(versions)


def _models(repository: Path | None) -> list[Repository]:
    return [Repository(repository or default_repository(), layout) for layout in Layout]


def _print_table(versions: list[tuple[str, int, Manifest]]) -> None:
    columns = ("model", "version", "precision", "refiner", "torch", "created", "weights")
    table = Table(*columns, box=None)
    for name, number, m in versions:
        values = (m.precision.value, m.refiner.value, m.torch_version, m.created)
        table.add_row(name, str(number), *values, m.weights_source)
    # A pipe has no width: whole lines, however long.
    Console(width=None if sys.stdout.isatty() else 250).print(table)


@main.command()
@click.argument("version", type=click.IntRange(min=1), required=False)
@_device_option
@_repository_option
def verify(version: int | None, device: str, repository: Path | None) -> None:
    """Check a published version of each model again, by default the highest."""
    with _one_line_errors():
        models = _models(repository)
        wanted = {version} if version else {n for model in models for n in model.versions()}
        # Where no model has it, the first says so.
        for model in [m for m in models if wanted & {*m.versions()}] or models[:1]:
            _verify(model, version, device)


def _verify(folder: Repository, version: int | None, device: str) -> None:
    number = folder.published(version)
    manifest = exporting.verify(folder, number, device)
    golden = manifest.difference_from_golden is not None
    against = "contract, splitting, golden mattes" if golden else "contract, splitting"
    click.echo(f"{folder.layout.model_name} version {number} is sound: hash, {against}.")


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except ExportError as exc:
        click.echo(f"rvm-export: {exc}", err=True)
        sys.exit(exc.exit_code)
