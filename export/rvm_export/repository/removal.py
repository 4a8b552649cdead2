"""Which versions may be removed: never one that is served."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rvm_export.errors import UsageError
from rvm_export.repository.policy import served_versions
from rvm_export.repository.repository import Repository


@dataclass(frozen=True)
class Removal:
    """A version of one model that is to go."""

    repository: Repository
    version: int

    @property
    def folder(self) -> Path:
        """The version's folder."""
        return self.repository.version_folder(self.version)

    def do(self) -> None:
        """Remove it. Raises as `Repository.remove`."""
        self.repository.remove(self.version)


def retired(models: Sequence[Repository], version: int) -> list[Removal]:
    """A version of each of the models that have it.

    Raises:
        UsageError: none of them has it, or it is served.
        RepositoryError: a config cannot be read.
    """
    having = [model for model in models if version in model.versions()]
    if not having:
        models[0].published(version)
    for model in having:
        served = served_versions(model)
        if version in served.served:
            what = "active" if version == served.active else "still served, to videos in progress"
            raise UsageError(
                f"version {version} of {model.kind.name} is {what}, and a version that is served "
                "is never removed; activate another one first"
            )
    return [Removal(model, version) for model in having]


def pruned(models: Sequence[Repository], keep: int) -> list[Removal]:
    """All versions of each model but the `keep` newest, those that are served, and the one before.

    The version that was active before is what a rollback needs.

    Raises:
        RepositoryError: a config cannot be read.
    """
    removals = []
    for model in models:
        served = served_versions(model)
        needed = {*model.versions()[-keep:], *served.served, served.previous}
        removals += [Removal(model, v) for v in model.versions() if v not in needed]
    return removals
