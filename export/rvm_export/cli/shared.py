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

VARIANTS = [variant.value for variant in Variant]

repository_option: Callable[[Command], Command] = click.option(
    "--repository",
    type=click.Path(file_okay=False, path_type=Path),
    help="Model repository. Default: $RVM_MODEL_REPOSITORY, else ./model_repository.",
)
variant_option: Callable[[Command], Command] = click.option(
    "--variant",
    type=click.Choice(VARIANTS),
    default=Variant.MOBILENETV3.value,
    show_default=True,
    help="Which encoder the network has; each has versions of its own. resnet50 errs less and "
    "takes longer.",
)
device_option: Callable[[Command], Command] = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where the model is checked. The file runs on either.",
)


def models_of(repository: Path | None, variant: Variant | None = None) -> list[Repository]:
    """Each kind of model, or each of a variant, in the repository asked for or the default one."""
    path = repository or default_repository()
    kinds = (*KINDS, *ONNX_KINDS)
    return [Repository(path, kind) for kind in kinds if variant in (None, kind.variant)]


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
