"""Take a version out of an archive into a repository, checked as one that was made here."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rvm_export.archive.contents import Contents
from rvm_export.archive.unpack import unpack
from rvm_export.errors import ArchiveError, RepositoryError, UsageError
from rvm_export.repository import (
    CONFIG_FILE,
    WARMUP_FOLDER,
    Manifest,
    Repository,
    check_formats,
    check_precision,
    precision_of,
)
from rvm_export.wire import ModelKind

Verify = Callable[[Path, ModelKind], object]
"""Makes sure that a version's folder holds a model that computes what it must."""


@dataclass(frozen=True)
class ImportOptions:
    """What to import to where."""

    repository: Path
    version: int | None = None  # None: the number that it has in the archive


def import_archive(archive: Path, options: ImportOptions, verify: Verify) -> list[Path]:
    """Check an archive, verify its models and publish them; their folders.

    Args:
        archive: the file.
        options: where it goes.
        verify: called with the folder of each version, before any is published.

    Raises:
        ArchiveError: the archive is damaged, or holds something else than one version.
        UsageError: the number is taken, or the repository has another precision or format.
        VerificationError: as `verify`, or a model is not that of its manifest. None is published.
        RepositoryError: the repository cannot be written.
    """
    try:
        with TemporaryDirectory(prefix="rvm-import-") as folder:
            unpacked = Path(folder)
            contents = unpack(archive, unpacked)
            for kind in contents.kinds:
                _check_parts(Repository(unpacked, kind), contents.version)
            return _import(unpacked, contents, options, verify)
    except OSError as exc:
        raise RepositoryError(f"cannot import {archive}: {exc.strerror or exc}") from exc


def _check_parts(model: Repository, version: int) -> None:
    """Make sure that config, manifest and model file are those of one model."""
    manifest = Manifest.read(model.version_folder(version))
    manifest.check_hash(model.model_file(version))
    text = (model.model_folder / CONFIG_FILE).read_text("utf-8", "replace")
    name = model.kind.name
    if f'name: "{name}"' not in text or precision_of(text) is not manifest.precision:
        raise ArchiveError(
            f"{CONFIG_FILE} in the archive is not that of a {manifest.precision.value} {name}"
        )


def _import(
    unpacked: Path, contents: Contents, options: ImportOptions, verify: Verify
) -> list[Path]:
    repositories = [Repository(options.repository, kind) for kind in contents.kinds]
    with repositories[0].locked(), ExitStack() as stack:
        version = _free_version(repositories, contents, options)
        for repository in repositories:
            folder = unpacked / repository.kind.name / str(contents.version)
            check_formats(repository)
            check_precision(repository, Manifest.read(folder).precision)
        ready = []
        for repository in repositories:
            kind = repository.kind
            staged = stack.enter_context(repository.staging(version))
            source = unpacked / kind.name
            shutil.copytree(source / str(contents.version), staged, dirs_exist_ok=True)
            verify(staged, kind)
            ready.append((repository, staged, source))
        return [_publish(*parts) for parts in ready]


def _free_version(
    repositories: list[Repository], contents: Contents, options: ImportOptions
) -> int:
    if options.version is None:
        for repository in repositories:
            if contents.version in repository.versions():
                free = max(r.choose_version(None) for r in repositories)
                raise UsageError(
                    f"version {contents.version} is in {repository.model_folder} already and is "
                    f"never overwritten; give it another number, as with --version {free}"
                )
        return contents.version
    return max(repository.choose_version(options.version) for repository in repositories)


def _publish(repository: Repository, staged: Path, source: Path) -> Path:
    config_folder = repository.config_folder(staged)
    if not (config_folder / CONFIG_FILE).exists():
        if (source / WARMUP_FOLDER).is_dir():
            warmup = config_folder / WARMUP_FOLDER
            shutil.copytree(source / WARMUP_FOLDER, warmup, dirs_exist_ok=True)
        shutil.copyfile(source / CONFIG_FILE, config_folder / CONFIG_FILE)
    return repository.publish(staged)
