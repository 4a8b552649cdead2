"""Which versions of a model are served: a block at the end of its `config.pbtxt`.

Without the block Triton serves the highest version. With it, it serves those that are named;
clients begin a video with the active one, and name it in each request.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rvm_export.errors import RepositoryError
from rvm_export.repository.config_pbtxt import FILE_NAME, replace_text
from rvm_export.repository.repository import Repository

_FIRST_LINE = "# Which versions are served, written by rvm-export activate; change nothing here."
_LAST_LINE = "# The end of what rvm-export activate wrote."
_BLOCK = re.compile(rf"\n?{re.escape(_FIRST_LINE)}\n.*?{re.escape(_LAST_LINE)}\n?", re.DOTALL)
_SERVED = re.compile(r"versions:\s*\[([\d,\s]+)\]")
_PARAMETER = r'key:\s*"{}"\s*value\s*\{{\s*string_value:\s*"(\d+)"'


@dataclass(frozen=True)
class ServedVersions:
    """The versions of one model that a server loads."""

    active: int | None
    """The one that new videos begin with; None where there is none."""
    served: tuple[int, ...]
    """All that are loaded, the active one among them."""
    previous: int | None = None
    """The one that was active before."""


def served_versions(repository: Repository) -> ServedVersions:
    """What the model's config says, or the highest version.

    Raises:
        RepositoryError: the config cannot be read, or has a policy of somebody else's.
    """
    block = _BLOCK.search(_read(repository))
    if block is None:
        highest = max(repository.versions(), default=None)
        return ServedVersions(highest, () if highest is None else (highest,))
    served = _SERVED.search(block[0])
    active = _parameter("active_version", block[0])
    if served is None or active is None:
        raise RepositoryError(
            f"{repository.model_folder / FILE_NAME}: the block of rvm-export activate is damaged; "
            "remove it, and activate a version"
        )
    versions = tuple(int(version) for version in served[1].split(","))
    return ServedVersions(active, versions, _parameter("previous_version", block[0]))


def write_served(repository: Repository, served: ServedVersions) -> None:
    """Put it into the model's config, whole or not at all.

    Raises:
        RepositoryError: the config cannot be read or written, or has a policy of somebody else's.
    """
    text = _BLOCK.sub("", _read(repository))
    path = repository.model_folder / FILE_NAME
    try:
        replace_text(path, f"{text.rstrip()}\n\n{_block(served)}")
    except OSError as exc:
        raise RepositoryError(f"cannot write {path}: {exc.strerror}") from exc


def without_policy(text: str) -> str:
    """A `config.pbtxt` that says nothing of which versions are served."""
    return f"{_BLOCK.sub('', text).rstrip()}\n"


@contextmanager
def serving(repository: Repository, served: ServedVersions) -> Iterator[None]:
    """`write_served`, taken back where the body fails.

    Raises:
        RepositoryError: as `write_served`.
    """
    before = _read(repository)
    write_served(repository, served)
    try:
        yield
    except BaseException:
        replace_text(repository.model_folder / FILE_NAME, before)
        raise


def _block(served: ServedVersions) -> str:
    versions = ", ".join(str(version) for version in served.served)
    parameters = {"active_version": served.active, "previous_version": served.previous}
    lines = [
        f'parameters {{ key: "{key}" value {{ string_value: "{version}" }} }}'
        for key, version in parameters.items()
        if version is not None
    ]
    policy = f"version_policy {{ specific {{ versions: [ {versions} ] }} }}"
    return "\n".join([_FIRST_LINE, policy, *lines, _LAST_LINE, ""])


def _parameter(name: str, block: str) -> int | None:
    found = re.search(_PARAMETER.format(name), block)
    return int(found[1]) if found else None


def _read(repository: Repository) -> str:
    path = repository.model_folder / FILE_NAME
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise RepositoryError(f"cannot read {path}: {exc.strerror}") from exc
    if re.search(r"^\s*version_policy\b", _BLOCK.sub("", text), re.MULTILINE):
        raise RepositoryError(
            f"{path} has a version_policy of its own; remove it, so that rvm-export can say which "
            "versions are served"
        )
    return text
