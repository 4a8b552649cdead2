"""`rvm-export push` and `pull`."""

from pathlib import Path

import click

from rvm_client.config import BucketLocation, Settings, load_settings
from rvm_client.errors import RvmError
from rvm_client.s3 import S3Folder
from rvm_client.server import BucketSource
from rvm_export import push as bucket_versions
from rvm_export.cli.shared import models_of, one_line_errors, repository_option, say
from rvm_export.errors import UsageError


@click.command()
@click.argument("bucket", metavar="s3://BUCKET/PREFIX")
@click.option(
    "--delete", is_flag=True, help="Remove versions there that the repository does not have."
)
@repository_option
def push(bucket: str, delete: bool, repository: Path | None) -> None:
    """Bring the versions of a repository into a bucket, which servers start from."""
    with one_line_errors():
        models = [model for model in models_of(repository) if model.versions()]
        if not models:
            models_of(repository)[0].published(None)
        with _opened(bucket) as folder:
            pushed = bucket_versions.push(models, folder, say, delete=delete)
        for name in pushed.added:
            click.echo(f"added {folder.location}/{name}")
        for name in pushed.removed:
            click.echo(f"removed {folder.location}/{name}")
        if not pushed.added and not pushed.removed:
            say(f"All versions are in {folder.location} already.")


@click.command()
@click.argument("bucket", metavar="s3://BUCKET/PREFIX")
def pull(bucket: str) -> None:
    """Bring this machine's copy of a bucket up to date; prints its folder."""
    with one_line_errors():
        source = BucketSource.configured(*_located(bucket))
        click.echo(bucket_versions.pull(source))


def _opened(url: str) -> S3Folder:
    location, settings = _located(url)
    try:
        return S3Folder.configured(location, settings)
    except RvmError as exc:
        raise UsageError(str(exc)) from exc


def _located(url: str) -> tuple[BucketLocation, Settings]:
    try:
        return BucketLocation.parse(url), load_settings()
    except ValueError as exc:
        raise UsageError(f"{url!r} is no folder in a bucket: {exc}") from exc
    except RvmError as exc:
        raise UsageError(str(exc)) from exc
