"""The command `rvm-export`: its subcommands, of which only the one that is called is imported."""

import importlib
import signal
import sys
import warnings
from typing import Any, NoReturn

import click

# Where each is. Versions are rolled out, carried and removed where no PyTorch is.
_SUBCOMMANDS = {
    "activate": "rvm_export.cli.rollout:activate",
    "diff": "rvm_export.cli.diff:diff",
    "evaluate": "rvm_export.cli.evaluate:evaluate",
    "export": "rvm_export.cli.make:export",
    "import": "rvm_export.cli.travel:import_version",
    "list": "rvm_export.cli.versions:list_versions",
    "make-dataset": "rvm_export.cli.evaluate:make_dataset",
    "package": "rvm_export.cli.travel:package",
    "prune": "rvm_export.cli.removal:prune",
    "pull": "rvm_export.cli.push:pull",
    "push": "rvm_export.cli.push:push",
    "reproduce": "rvm_export.cli.again:reproduce_version",
    "retire": "rvm_export.cli.removal:retire",
    "rollback": "rvm_export.cli.rollout:rollback",
    "verify": "rvm_export.cli.make:verify",
}


class _Subcommands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _SUBCOMMANDS:
            return None
        module, _, name = _SUBCOMMANDS[cmd_name].partition(":")
        command: Any = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Subcommands)
def main() -> None:
    """Make, check, compare and roll out versions of the RVM models in a Triton repository."""
    # TorchScript is what Triton's PyTorch backend loads; PyTorch calls it deprecated.
    warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)
    signal.signal(signal.SIGTERM, _exit_on_sigterm)


def _exit_on_sigterm(number: int, _frame: object) -> NoReturn:
    # An exception, so that what is half made is removed on the way out.
    sys.exit(128 + number)
