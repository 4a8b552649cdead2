"""Versions into a bucket, from which workers and servers take their model repository, and back.

Who reads it meanwhile never finds half a version: its manifest comes last, and goes first. The
config, which may say what is active, comes after all versions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rvm_client.errors import RvmError
from rvm_client.s3 import S3Folder, StoredObject
from rvm_client.server import BucketSource, bring_up_to_date
from rvm_export.errors import RepositoryError, UsageError
from rvm_export.repository import (
    CONFIG_FILE,
    MANIFEST_FILE,
    WARMUP_FOLDER,
    Manifest,
    Repository,
    precision_of,
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pushed:
    """What changed in the bucket."""

    added: list[str]
    """MODEL/VERSION each."""
    removed: list[str]
    """The same."""


def push(models: Sequence[Repository], bucket: S3Folder, say: Say, *, delete: bool) -> Pushed:
    """Store the versions that are not in the bucket yet, and each model's config.

    Args:
        models: of one repository, each with a version.
        bucket: the folder that is the repository there.
        say: called with a sentence for the user.
        delete: remove versions of these models that the repository does not have.

    Raises:
        UsageError: the bucket has another model under the same number, or of another precision.
        RepositoryError: repository or bucket cannot be read or written.
        VerificationError: a model is not the one that its manifest was written for.
    """
    try:
        with models[0].locked():
            listed = bucket.list()
            news = [_Push(model, bucket, listed, say) for model in models]
            for each in news:
                each.check()
            added = [name for each in news for name in each.add()]
            removed = [name for each in news for name in each.remove()] if delete else []
    except RvmError as exc:
        raise RepositoryError(str(exc)) from exc
    except OSError as exc:
        raise RepositoryError(f"cannot read {exc.filename}: {exc.strerror}") from exc
    return Pushed(added, removed)


def pull(source: BucketSource) -> Path:
    """This machine's copy of a bucket, as the bucket is now.

    Raises:
        RepositoryError: it cannot be read or written.
    """
    try:
        bring_up_to_date(source, needs_bucket=True)
    except RvmError as exc:
        raise RepositoryError(str(exc)) from exc
    return source.model_repository


class _Push:
    """One model on its way."""

    def __init__(
        self, model: Repository, bucket: S3Folder, listed: dict[str, StoredObject], say: Say
    ) -> None:
        self._model = model
        self._bucket = bucket
        self._listed = listed
        self._say = say
        self._name = model.kind.name
        manifests = {n: f"{self._name}/{n}/{MANIFEST_FILE}" for n in model.versions()}
        self._there = {n for n, manifest in manifests.items() if manifest in listed}
        self._new = [n for n in manifests if n not in self._there]

    def check(self) -> None:
        """Find out what is wrong before anything is stored. Raises as `push`."""
        config = f"{self._name}/{CONFIG_FILE}"
        ours = precision_of((self._model.model_folder / CONFIG_FILE).read_text("utf-8"))
        if config in self._listed:
            theirs = precision_of(self._read(config).decode("utf-8", "replace"))
            if theirs is not ours:
                raise UsageError(
                    f"{self._bucket.location} has {self._name} in {theirs.value}, and one model "
                    f"has one precision; push {ours.value} to a folder of its own"
                )
        for version in self._there:
            manifest = f"{self._name}/{version}/{MANIFEST_FILE}"
            if self._read(manifest) != (self._model.path / manifest).read_bytes():
                raise UsageError(
                    f"version {version} of {self._name} in {self._bucket.location} is another "
                    "one, and is never overwritten; give yours another number"
                )
        for version in self._new:
            manifest_of_ours = Manifest.read(self._model.version_folder(version))
            manifest_of_ours.check_hash(self._model.model_file(version))

    def add(self) -> list[str]:
        """Store what is not there yet; the versions that were stored."""
        for version in self._new:
            self._say(f"Storing version {version} of {self._name}")
            folder = self._model.version_folder(version)
            files = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
            for file in sorted(files, key=lambda name: (name == MANIFEST_FILE, name)):
                self._bucket.store(f"{self._name}/{version}/{file}", folder / file)
        warmup = self._model.model_folder / WARMUP_FOLDER
        for path in [*warmup.glob("*"), self._model.model_folder / CONFIG_FILE]:
            name = str(path.relative_to(self._model.path))
            content = path.read_bytes()
            if name not in self._listed or self._read(name) != content:
                self._bucket.store(name, content)
        return [f"{self._name}/{version}" for version in self._new]

    def remove(self) -> list[str]:
        """Delete the versions that the repository does not have; their names."""
        gone = set()
        ours = {str(version) for version in self._model.versions()}
        # The manifest first: without it nobody takes the rest for a version.
        names = sorted(self._listed, key=lambda name: not name.endswith(f"/{MANIFEST_FILE}"))
        for name in names:
            model, _, rest = name.partition("/")
            version = rest.partition("/")[0]
            if model == self._name and version.isdigit() and version not in ours:
                self._bucket.delete(name)
                gone.add(int(version))
        return [f"{self._name}/{version}" for version in sorted(gone)]

    def _read(self, name: str) -> bytes:
        return self._bucket.read(name, self._listed[name])
