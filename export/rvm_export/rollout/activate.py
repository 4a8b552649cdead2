"""Let new videos begin with another version, and unload the one before once its videos ended."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from rvm_export.errors import RolloutError, UsageError
from rvm_export.repository import (
    MODEL_FILE,
    Manifest,
    Repository,
    ServedVersions,
    served_versions,
    serving,
    write_served,
)
from rvm_export.rollout.server import ModelServer

_POLL_S = 0.5

Say = Callable[[str], None]


@dataclass(frozen=True)
class Activation:
    """A version that is to become the active one of each layout of a model."""

    repositories: Sequence[Repository]
    """One for each layout that has the version."""
    version: int

    @classmethod
    def of(cls, models: Sequence[Repository], version: int) -> "Activation":
        """Of the models that have the version, whose files are what their manifests say.

        Raises:
            UsageError: none has it.
            VerificationError: a file is damaged.
            RepositoryError: there is no manifest.
        """
        repositories = [model for model in models if version in model.versions()]
        if not repositories:
            # It says which there are.
            models[0].published(version)
        for repository in repositories:
            folder = repository.version_folder(version)
            Manifest.read(folder).check_hash(folder / MODEL_FILE)
        return cls(repositories, version)


def previous_version(models: Sequence[Repository]) -> int:
    """The version that was active before the one that is.

    Raises:
        UsageError: none was.
    """
    for model in models:
        previous = served_versions(model).previous
        if previous is not None:
            return previous
    raise UsageError(
        f"no version of {models[0].kind.name} was active before; name one with rvm-export activate"
    )


def activate(activation: Activation, server: ModelServer | None, say: Say) -> None:
    """Make a version the active one, on a server that runs, and for those that start later.

    On the server it is tried out under another name first, so that no client ever gets a bad one.

    Raises:
        RolloutError: the server does not take it. Nothing has changed.
        RepositoryError: a config cannot be written.
    """
    version = activation.version
    # A lock is for the whole folder: any of the models' will do.
    with activation.repositories[0].locked():
        if server is None:
            for repository in activation.repositories:
                before = served_versions(repository)
                write_served(repository, _after(before, version, is_served_on=False))
            return
        befores = [(model, server.served(model)) for model in activation.repositories]
        for repository, _ in befores:
            say(f"Trying version {version} of {repository.kind.name} at {server.url}")
            server.try_out(repository, version)
        _switch(befores, version, server)


def _switch(
    befores: Sequence[tuple[Repository, ServedVersions]], version: int, server: ModelServer
) -> None:
    try:
        with ExitStack() as written:
            for repository, before in befores:
                after = _after(before, version, is_served_on=True)
                written.enter_context(serving(repository, after))
            for repository, _ in befores:
                server.reload(repository, version)
    except RolloutError:
        for repository, before in befores:
            if before.active is not None:
                with suppress(RolloutError):
                    server.reload(repository, before.active)
        raise


def _after(before: ServedVersions, version: int, *, is_served_on: bool) -> ServedVersions:
    """The same with another active version; what was served may be served on beside it."""
    others = [v for v in before.served if v != version] if is_served_on else []
    previous = before.previous if before.active == version else before.active
    return ServedVersions(version, (version, *others), previous)


@dataclass
class _Watch:
    """When the last request of each version was seen to change, by our clock."""

    last_s: dict[int, float] = field(default_factory=dict)
    changed_s: dict[int, float] = field(default_factory=dict)

    def idle_s(self, last_s: dict[int, float], version: int) -> float:
        """For how long no request named it."""
        now_s = time.monotonic()
        seen_s = last_s.get(version, 0.0)
        if self.last_s.get(version) != seen_s or version not in self.changed_s:
            self.last_s[version], self.changed_s[version] = seen_s, now_s
        return now_s - self.changed_s[version]


def drain(
    repositories: Sequence[Repository],
    server: ModelServer,
    say: Say,
    *,
    idle_s: float,
    limit_s: float,
) -> None:
    """Unload each version that is not active once no request named it for a while.

    Args:
        repositories: of the models.
        server: where they are loaded.
        say: called with a sentence for the user.
        idle_s: so long without a request means that its videos have ended.
        limit_s: what is still in use after this is unloaded all the same.

    Raises:
        RolloutError: the server has gone.
        RepositoryError: a config cannot be read or written.
    """
    ends_s = time.monotonic() + limit_s
    watches = [_Watch() for _ in repositories]
    while any(_leftovers(repository) for repository in repositories):
        for repository, watch in zip(repositories, watches, strict=True):
            last_s = server.last_requests_s(repository)
            is_over = time.monotonic() > ends_s
            for version in _leftovers(repository):
                if watch.idle_s(last_s, version) >= idle_s or is_over:
                    _unload(repository, server, version)
                    say(f"Version {version} of {repository.kind.name} is unloaded")
        time.sleep(_POLL_S)


def _leftovers(repository: Repository) -> list[int]:
    served = served_versions(repository)
    return [version for version in served.served if version != served.active]


def _unload(repository: Repository, server: ModelServer, version: int) -> None:
    with repository.locked():
        served = served_versions(repository)
        # It may have become the active one again.
        if served.active is None or version == served.active:
            return
        kept = tuple(v for v in served.served if v != version)
        with serving(repository, ServedVersions(served.active, kept, served.previous)):
            server.reload(repository, served.active)
