"""`rvm-export export` and `verify`."""

from pathlib import Path

import click

from rvm_export import export as exporting
from rvm_export.cli.shared import (
    VARIANTS,
    device_option,
    models_of,
    one_line_errors,
    repository_option,
    say,
    variant_option,
)
from rvm_export.config import cache_folder, default_repository, onnx_repository
from rvm_export.provenance import newer_than_server
from rvm_export.repository import Repository
from rvm_export.weights import Source, Weights, fetch_weights, read_weights
from rvm_export.wire import Format, Layout, Precision, Variant


@click.command()
@variant_option
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="rvm_mobilenetv3.pth, or rvm.json with rvm.bin beside it; for resnet50 "
    "rvm_resnet50.pth. Default: fetched.",
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
@click.option(
    "--format",
    "format_",
    type=click.Choice([format_.value for format_ in Format]),
    default=Format.TORCHSCRIPT.value,
    show_default=True,
    help="Of the file: for Triton's PyTorch backend, or its ONNX Runtime backend and others.",
)
@device_option
@click.option("--version", type=click.IntRange(min=1), help="Default: the next number.")
@repository_option
def export(
    variant: str,
    checkpoint: Path | None,
    source: str,
    weights_sha256: str | None,
    precision: str,
    layout: str,
    format_: str,
    device: str,
    version: int | None,
    repository: Path | None,
) -> None:
    """Make a version: TorchScript or ONNX, verified before it is published."""
    with one_line_errors():
        layouts = tuple(Layout) if layout == "both" else (Layout(layout),)
        made = Format(format_)
        path = repository or (onnx_repository() if made is Format.ONNX else default_repository())
        options = exporting.ExportOptions(
            path, layouts, Precision(precision), device, version, Variant(variant), made
        )
        exporting.check_options(options)
        weights = _weights(checkpoint, source, weights_sha256, options.variant)
        if made is Format.TORCHSCRIPT and (note := newer_than_server()):
            say(note)
        say(f"Weights: {weights.source} (SHA-256 {weights.sha256})")
        for folder in exporting.export(weights, options, say):
            click.echo(folder)


def _weights(checkpoint: Path | None, source: str, sha256: str | None, variant: Variant) -> Weights:
    if checkpoint is not None:
        return read_weights(checkpoint, sha256, variant)
    folder = cache_folder() / "weights"
    return fetch_weights(folder, say, Source(source), sha256=sha256, variant=variant)


@click.command()
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.option(
    "--variant", type=click.Choice(VARIANTS), help="Whose models. Default: those of each."
)
@device_option
@repository_option
def verify(version: int | None, variant: str | None, device: str, repository: Path | None) -> None:
    """Check a published version of each model again, by default the highest."""
    with one_line_errors():
        models = models_of(repository, Variant(variant) if variant else None)
        wanted = {version} if version else {n for model in models for n in model.versions()}
        # Where no model has it, the first says so.
        for model in [m for m in models if wanted & {*m.versions()}] or models[:1]:
            _verify(model, version, device)


def _verify(folder: Repository, version: int | None, device: str) -> None:
    number = folder.published(version)
    manifest = exporting.verify(folder, number, device)
    golden = manifest.difference_from_golden is not None
    against = "contract, splitting, golden mattes" if golden else "contract, splitting"
    click.echo(f"{folder.kind.name} version {number} is sound: hash, {against}.")
