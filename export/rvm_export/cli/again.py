"""`rvm-export reproduce`."""

from pathlib import Path

import click

from rvm_export.cli.shared import models_of, one_line_errors, repository_option
from rvm_export.compare import find_version
from rvm_export.config import cache_folder
from rvm_export.reproduce import Reproduction, Sameness, reproduce
from rvm_export.weights import read_weights, weights_again

# Of a hash, for people.
_SHOWN_DIGITS = 12


@click.command("reproduce")
@click.argument("version")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="The version's weights. Default: the file that it was made from, or the cache.",
)
@repository_option
def reproduce_version(version: str, checkpoint: Path | None, repository: Path | None) -> None:
    """Make a version again in a temporary folder, and say whether it is the same.

    VERSION is a number, MODEL/NUMBER or a version's folder. The exit status is 1 where the mattes
    of the two differ by more than rounding.
    """
    with one_line_errors():
        found = find_version(version, models_of(repository))
        manifest = found.manifest
        source, sha256 = manifest.weights_source, manifest.weights_sha256
        if checkpoint is None:
            folder = cache_folder() / "weights"
            weights = weights_again(source, sha256, manifest.variant, folder)
        else:
            weights = read_weights(checkpoint, sha256, manifest.variant)
        made = reproduce(found, weights)
        for sentence in _sentences(found.name, made):
            click.echo(sentence)
        if made.comparison is not None:
            made.comparison.check()


def _sentences(name: str, made: Reproduction) -> list[str]:
    if made.sameness is Sameness.BYTES:
        return [f"{name} was made again: the same bytes."]
    if made.sameness is Sameness.PROGRAM:
        first = "the same weights and the same program; names in the archive differ."
    else:
        assert made.comparison is not None
        most = made.comparison.summary.pha_max
        first = f"another file; its mattes differ by up to {most:g} levels of alpha."
    return [f"{name} was made again: {first}", *_reasons(made)]


def _reasons(made: Reproduction) -> list[str]:
    reasons = [
        f"Not as it was: {name}, {_short(then)} then and {_short(here)} here."
        for name, (then, here) in made.changed.items()
    ]
    if made.unknown:
        reasons.append(f"Its manifest does not say: {', '.join(made.unknown)}.")
    return reasons or ["The toolchain is the same."]


def _short(value: str) -> str:
    is_hash = len(value) == 64 and all(digit in "0123456789abcdef" for digit in value)
    return value[:_SHOWN_DIGITS] if is_hash else value
