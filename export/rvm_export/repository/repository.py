"""The model repository: versions that appear whole or not at all."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from rvm_export.errors import RepositoryError, UsageError
from rvm_export.wire import DEFAULT_KIND, KINDS, ONNX_KINDS, Format, ModelKind

MODEL_FILE = "model.pt"
GOLDEN_FILE = "golden.npz"
# Triton takes only numbers for versions, and skips everything else.
_STAGING_PREFIX = ".staging-"


@dataclass(frozen=True)
class Repository:
    """One model in the folder that Triton is given with `--model-repository`."""

    path: Path
    kind: ModelKind = DEFAULT_KIND

    def model_file(self, version: int) -> Path:
        """The file of a version that Triton's backend loads."""
        return self.version_folder(version) / self.kind.format.file_name

    @property
    def model_folder(self) -> Path:
        """The folder of the model of this kind."""
        return self.path / self.kind.name

    def versions(self) -> list[int]:
        """The published versions, in order."""
        if not self.model_folder.is_dir():
            return []
        names = (entry.name for entry in self.model_folder.iterdir() if entry.is_dir())
        return sorted(int(name) for name in names if _is_version(name))

    def version_folder(self, version: int) -> Path:
        """The folder of a version, published or not."""
        return self.model_folder / str(version)

    def choose_version(self, version: int | None) -> int:
        """`version`, or the number after the highest.

        Raises:
            UsageError: the version is there already.
        """
        taken = self.versions()
        if version is None:
            return max(taken, default=0) + 1
        if version in taken:
            raise UsageError(
                f"version {version} is in {self.model_folder} already and is never overwritten; "
                "choose another number, or none for the next"
            )
        return version

    def published(self, version: int | None) -> int:
        """`version`, or the highest, which is there.

        Raises:
            UsageError: it is not.
        """
        there = self.versions()
        if not there:
            raise UsageError(f"{self.model_folder} has no version; make one with rvm-export export")
        if version is not None and version not in there:
            known = ", ".join(str(number) for number in there)
            raise UsageError(f"{self.model_folder} has no version {version}, but {known}")
        return there[-1] if version is None else version

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one export writes at a time; what a killed one left behind is removed.

        Raises:
            RepositoryError: the folder cannot be made or written.
        """
        with _as_repository_errors(self.path):
            if not self.path.exists():
                self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # The kernel lets go of it when the process ends, however it ends.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            for left in self.path.glob(f"*/{_STAGING_PREFIX}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def staging(self, version: int) -> Iterator[Path]:
        """A folder to make a version in, that Triton does not see; gone at the end.

        The folder around it may become the model's, see `publish`.
        """
        with _as_repository_errors(self.path):
            parent = self._staging_parent()
            parent.mkdir(exist_ok=True)
            folder = Path(mkdtemp(prefix=_STAGING_PREFIX, dir=parent))
        try:
            with _as_repository_errors(self.path):
                # mkdtemp is for its owner alone; the server may be another user.
                folder.chmod(0o755)
                staged = folder / str(version)
                staged.mkdir()
                yield staged
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remove(self, version: int) -> None:
        """Take a published version away: no server sees half of it. To be called `locked`.

        Raises:
            RepositoryError: the folder cannot be written. What is left of the version is hidden,
                and goes with the next change.
        """
        with _as_repository_errors(self.path):
            hidden = Path(mkdtemp(prefix=_STAGING_PREFIX, dir=self.model_folder))
            self.version_folder(version).rename(hidden / str(version))
            _flush(self.model_folder)
            shutil.rmtree(hidden)

    def _staging_parent(self) -> Path:
        """A folder that a server of the repository takes for a model anyway.

        Triton does not start where a model has no version, so one more model must not show
        before it has one.
        """
        others = [self.path / kind.name for kind in (*KINDS, *ONNX_KINDS)]
        return next((f for f in (self.model_folder, *others) if f.is_dir()), self.model_folder)

    def config_folder(self, staged: Path) -> Path:
        """Where `config.pbtxt` belongs: with the model, or with what will become its folder."""
        return self.model_folder if self.model_folder.is_dir() else staged.parent

    def publish(self, staged: Path) -> Path:
        """Rename a staged folder to its version: it is there whole, or not at all.

        The first version of a model comes with the model's folder, if there is none.
        """
        target = self.model_folder / staged.name
        if target.exists():
            raise UsageError(f"{target} is there already and is never overwritten")
        for path in (*staged.parent.rglob("*"), staged.parent):
            _flush(path)
        if self.config_folder(staged) == self.model_folder:
            staged.rename(target)
            _flush(self.model_folder)
        else:
            staged.parent.rename(self.model_folder)
            _flush(self.path)
        return target


def check_formats(repository: Repository) -> None:
    """Make sure that a repository has no model of another format.

    A Triton without an ONNX Runtime backend does not start with such a model, nor one without a
    PyTorch backend with the other.

    Raises:
        UsageError: it has one.
    """
    format_ = repository.kind.format
    others = KINDS if format_ is Format.ONNX else ONNX_KINDS
    for kind in others:
        if Repository(repository.path, kind).versions():
            raise UsageError(
                f"{repository.path} has the model {kind.name}, and a Triton without a backend for "
                f"one of the two formats would not start; give {repository.kind.name} a repository "
                "of its own with --repository"
            )


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdigit() and not name.startswith("0")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _as_repository_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise RepositoryError(f"cannot write the model repository {folder}: {reason}") from exc
