"""The command `rvm-export` and its subcommands."""

import signal
import sys
import warnings
from typing import NoReturn

import click

from rvm_export.cli.evaluate import evaluate, make_dataset
from rvm_export.cli.make import export, verify
from rvm_export.cli.versions import list_versions


@click.group()
def main() -> None:
    """Make, list and verify versions of the RVM model in a Triton model repository."""
    # TorchScript is what Triton's PyTorch backend loads; PyTorch calls it deprecated.
    warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)
    signal.signal(signal.SIGTERM, _exit_on_sigterm)


def _exit_on_sigterm(number: int, _frame: object) -> NoReturn:
    # An exception, so that what is half made is removed on the way out.
    sys.exit(128 + number)


for command in (export, verify, list_versions, evaluate, make_dataset):
    main.add_command(command)
