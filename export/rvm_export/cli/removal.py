"""`rvm-export retire` and `prune`."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import click

from rvm_export.cli.shared import (
    Command,
    models_of,
    one_line_errors,
    repository_option,
    say,
    variant_option,
)
from rvm_export.repository import Removal, Repository, pruned, retired
from rvm_export.wire import Variant

_dry_run_option: Callable[[Command], Command] = click.option(
    "--dry-run", is_flag=True, help="Say what would be removed, and remove nothing."
)


@click.command()
@click.argument("version", type=click.IntRange(min=1))
@variant_option
@_dry_run_option
@repository_option
def retire(version: int, variant: str, dry_run: bool, repository: Path | None) -> None:
    """Remove a version; one that is served is refused."""
    with one_line_errors():
        models = models_of(repository, Variant(variant))
        _remove(models, lambda: retired(models, version), dry_run)


@click.command()
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    required=True,
    help="How many of the newest versions of each model stay.",
)
@click.option(
    "--variant",
    type=click.Choice([v.value for v in Variant]),
    help="Whose models. Default: those of each.",
)
@_dry_run_option
@repository_option
def prune(keep: int, variant: str | None, dry_run: bool, repository: Path | None) -> None:
    """Remove all versions but the newest and those that are served."""
    with one_line_errors():
        models = models_of(repository, Variant(variant) if variant else None)
        _remove(models, lambda: pruned(models, keep), dry_run)


def _remove(models: list[Repository], plan: Callable[[], list[Removal]], dry_run: bool) -> None:
    removals = plan()  # before the lock, which makes a folder where there is none
    with nullcontext() if dry_run or not removals else models[0].locked():
        # Once more: whoever had the lock before may have activated another version.
        removals = plan()
        for removal in removals:
            if not dry_run:
                removal.do()
            click.echo(f"{'would remove' if dry_run else 'removed'} {removal.folder}")
    if not removals:
        say("Nothing to remove.")
