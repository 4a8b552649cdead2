"""Make a version again from what its manifest says, and compare the two."""

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

from rvm_export.compare import Comparison, Found, compare, golden_clips, version_side
from rvm_export.errors import RepositoryError
from rvm_export.hashes import sha256_of
from rvm_export.model_files import check_format, model_bytes
from rvm_export.provenance import code_sha256, toolchain
from rvm_export.script import program_sha256
from rvm_export.weights import Weights
from rvm_export.wire import Format


class Sameness(str, Enum):
    """How far the two are the same."""

    BYTES = "bytes"  # the files are equal
    PROGRAM = "program"  # the same weights and code: names and notes in the archive differ
    MATTES = "mattes"  # other files; how their mattes differ is measured


@dataclass(frozen=True)
class Reproduction:
    """A version and the one that was made again."""

    sameness: Sameness
    changed: dict[str, tuple[str, str]]
    """What is not as it was: then and here. Empty where the toolchain is the same."""
    unknown: tuple[str, ...]
    """What the manifest, being older, does not say."""
    comparison: Comparison | None
    """Of the mattes, where the files differ in what they compute."""


def reproduce(found: Found, weights: Weights) -> Reproduction:
    """Make a version's file anew in a temporary folder, and compare the two.

    Args:
        found: the version.
        weights: those that its manifest names.

    Raises:
        UsageError: its format cannot be made here.
        VerificationError: the version cannot be loaded.
        RepositoryError: the temporary folder cannot be written.
    """
    check_format(found.kind, "cpu")
    changed, unknown = _changes(found)
    with TemporaryDirectory(prefix="rvm-reproduce-") as folder:
        made = _made_again(found, weights, Path(folder))
        sameness = _sameness(found, made)
        comparison = None
        if sameness is Sameness.MATTES:
            one, other = version_side(found, "cpu"), version_side(made, "cpu")
            comparison = compare(one, other, golden_clips(), most_alpha=None)
    return Reproduction(sameness, changed, unknown, comparison)


def _made_again(found: Found, weights: Weights, folder: Path) -> Found:
    # Not checked: it is compared with a version that was.
    data = model_bytes(weights.network(), found.kind, found.manifest.precision)
    path = folder / found.kind.format.file_name
    try:
        path.write_bytes(data)
    except OSError as exc:
        raise RepositoryError(f"cannot write {path}: {exc.strerror}") from exc
    return replace(found, name=f"{found.name} made again", folder=folder)


def _sameness(found: Found, made: Found) -> Sameness:
    name = found.kind.format.file_name
    one, other = found.folder / name, made.folder / name
    if sha256_of(one) == sha256_of(other):
        return Sameness.BYTES
    is_script = found.kind.format is Format.TORCHSCRIPT
    if is_script and program_sha256(one) == program_sha256(other):
        return Sameness.PROGRAM
    return Sameness.MATTES


def _changes(found: Found) -> tuple[dict[str, tuple[str, str]], tuple[str, ...]]:
    manifest = found.manifest
    here = {**toolchain(found.kind.format), "code": code_sha256(found.kind.format)}
    then: dict[str, str | None] = dict.fromkeys(here)
    then |= {"torch": manifest.torch_version, "code": manifest.code_sha256}
    then |= manifest.toolchain or {}
    changed = {
        name: (was, here[name])
        for name, was in then.items()
        if was is not None and name in here and was != here[name]
    }
    return changed, tuple(name for name, was in then.items() if was is None)
