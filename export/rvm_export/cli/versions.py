"""`rvm-export list`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from rvm_export.cli.shared import models_of, one_line_errors, repository_option
from rvm_export.repository import Manifest


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@repository_option
def list_versions(as_json: bool, repository: Path | None) -> None:
    """List the versions of all models and what they are made of."""
    with one_line_errors():
        versions = [
            (folder.kind.name, number, Manifest.read(folder.version_folder(number)))
            for folder in models_of(repository)
            for number in folder.versions()
        ]
        if as_json:
            rows = [{"model": name, "version": n, **asdict(m)} for name, n, m in versions]
            click.echo(json.dumps(rows, indent=2))
        else:
            _print_table(versions)


def _print_table(versions: list[tuple[str, int, Manifest]]) -> None:
    columns = ("model", "version", "precision", "refiner", "torch", "created", "weights")
    table = Table(*columns, box=None)
    for name, number, m in versions:
        values = (m.precision.value, m.refiner.value, m.torch_version, m.created)
        table.add_row(name, str(number), *values, m.weights_source)
    # A pipe has no width: whole lines, however long.
    Console(width=None if sys.stdout.isatty() else 250).print(table)
