"""`rvm-export package` and `import`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from rvm_export.archive import (
    ImportOptions,
    Verify,
    archive_name,
    fetch_archive,
    import_archive,
    is_url,
    pack,
)
from rvm_export.cli.shared import (
    device_option,
    models_of,
    one_line_errors,
    repository_option,
    say,
    variant_option,
)
from rvm_export.config import default_repository
from rvm_export.errors import ArchiveError, UsageError
from rvm_export.hashes import sha256_of
from rvm_export.wire import ModelKind, Variant


@click.command()
@click.argument("version", type=click.IntRange(min=1))
@variant_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The archive. Default: MODEL-VERSION.tar.gz in this folder.",
)
@repository_option
def package(version: int, variant: str, output: Path | None, repository: Path | None) -> None:
    """Pack a version into one archive; prints its name and its SHA-256."""
    with one_line_errors():
        models = models_of(repository, Variant(variant))
        having = [model for model in models if version in model.versions()]
        if not having:
            models[0].published(version)
        target = output or Path(archive_name(having[0].kind, version))
        click.echo(f"{target} {pack(having, version, target)}")


@click.command("import")
@click.argument("source", metavar="FILE|URL")
@click.option("--sha256", help="Hash that the archive must have, as package printed it.")
@click.option(
    "--version", type=click.IntRange(min=1), help="Default: the number that it was packed with."
)
@device_option
@click.option(
    "--no-verify",
    is_flag=True,
    help="Check hashes alone, as where no PyTorch is; activate then tries it on the server.",
)
@repository_option
def import_version(
    source: str,
    sha256: str | None,
    version: int | None,
    device: str,
    no_verify: bool,
    repository: Path | None,
) -> None:
    """Take a version out of an archive: verified before it is published."""
    with one_line_errors():
        verify = _trust if no_verify else _verifier(device)
        options = ImportOptions(repository or default_repository(), version)
        with _archive(source) as archive:
            _check_hash(archive, source, sha256)
            for folder in import_archive(archive, options, verify):
                click.echo(folder)


def _verifier(device: str) -> Verify:
    """As `rvm-export verify` does it."""
    try:
        from rvm_export import export as exporting
    except ImportError as exc:
        raise UsageError(
            f"the model cannot be verified here, as {exc.name} is not installed: pip install "
            "'rvm-triton[export]', or check its hashes alone with --no-verify"
        ) from exc
    exporting.check_device(device)

    def verify(folder: Path, kind: ModelKind) -> None:
        say(f"Verifying version {folder.name} of {kind.name} on {device}")
        exporting.verify_folder(folder, kind, device)

    return verify


def _trust(folder: Path, kind: ModelKind) -> None:
    say(f"Version {folder.name} of {kind.name} is not verified: its hashes are right")


@contextmanager
def _archive(source: str) -> Iterator[Path]:
    """The archive as a file: itself, or fetched for as long as it is needed."""
    if not is_url(source):
        yield Path(source)
        return
    with TemporaryDirectory(prefix="rvm-import-") as folder:
        file = Path(folder, "archive.tar.gz")
        console = Console(stderr=True)
        columns = (TextColumn("Fetching"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("fetching", total=None)
            fetch_archive(source, file, lambda n, all_: bar.update(task, completed=n, total=all_))
        yield file


def _check_hash(archive: Path, source: str, sha256: str | None) -> None:
    if not archive.is_file():
        raise ArchiveError(f"there is no file {archive}")
    if sha256 is not None and (actual := sha256_of(archive)) != sha256.lower():
        raise ArchiveError(
            f"the archive {source.partition('?')[0]} has the SHA-256 {actual}, not {sha256}"
        )
