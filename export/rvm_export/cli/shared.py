"""What the subcommands share: options, and errors in one line."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rvm_export.config import default_repository
from rvm_export.errors import ExportError
from rvm_export.repository import Repository
from rvm_export.wire import KINDS, ONNX_KINDS, Variant

Command = Callable[..., None]

repository_option: Callable[[Command], Command] = click.option(
    "--repository",
    type=click.Path(file_okay=False, path_type=Path),
    help="Model repository. Default: $RVM_MODEL_REPOSITORY, else ./model_repository.",
)
device_option: Callable[[Command], Command] = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where the model is checked. The file runs on either.",
)
VARIANTS = [variant.value for variant in Variant]


def models_of(repository: Path | None, variant: Variant | None = None) -> list[Repository]:
    """Each kind of model in the repository that was asked for, or in the default one.

    With a variant given, its models alone: version numbers are each variant's own.
    """
    kinds = [kind for kind in (*KINDS, *ONNX_KINDS) if variant in (None, kind.variant)]
    return [Repository(repository or default_repository(), kind) for kind in kinds]


def say(sentence: str) -> None:
    """For people: results alone go to stdout."""
    click.echo(sentence, err=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A user's mistake is one line and an exit status."""
    try:
        yield
    except ExportError as exc:
        click.echo(f"rvm-export: {exc}", err=True)
        sys.exit(exc.exit_code)
