"""`rvm-export list`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from rvm_export.cli.shared import models_of, one_line_errors, repository_option
from rvm_export.repository import Manifest, Repository, served_versions


@dataclass(frozen=True)
class _Row:
    model: str
    version: int
    served: str
    """Whether new videos begin with it, or those before go on with it, or neither."""
    manifest: Manifest


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@repository_option
def list_versions(as_json: bool, repository: Path | None) -> None:
    """List the versions of all models, which are served, and what they are made of."""
    with one_line_errors():
        rows = [row for model in models_of(repository) for row in _rows(model)]
        if as_json:
            click.echo(json.dumps([_as_dict(row) for row in rows], indent=2))
        else:
            _print_table(rows)


def _rows(model: Repository) -> list[_Row]:
    served = served_versions(model)
    words = dict.fromkeys(served.served, "served")
    if served.active is not None:
        words[served.active] = "active"
    return [
        _Row(model.kind.name, n, words.get(n, "no"), Manifest.read(model.version_folder(n)))
        for n in model.versions()
    ]


def _as_dict(row: _Row) -> dict[str, object]:
    named = {"model": row.model, "version": row.version, "served": row.served}
    return {**named, **asdict(row.manifest)}


def _print_table(rows: Sequence[_Row]) -> None:
    columns = ("model", "version", "served", "precision", "refiner", "torch", "created", "weights")
    table = Table(*columns, box=None)
    for row in rows:
        m = row.manifest
        values = (m.precision.value, m.refiner.value, m.torch_version, m.created)
        table.add_row(row.model, str(row.version), row.served, *values, m.weights_source)
    # A pipe has no width: whole lines, however long.
    Console(width=None if sys.stdout.isatty() else 250).print(table)
