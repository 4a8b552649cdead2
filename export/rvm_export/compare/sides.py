"""What is compared: a published version, a folder, or the network itself."""

from dataclasses import dataclass
from pathlib import Path

from rvm_export.errors import UsageError, VerificationError, in_one_line
from rvm_export.model_files import check_format, load_model
from rvm_export.repository import Manifest, Repository
from rvm_export.verify import Subject, eager_subject
from rvm_export.weights import Weights
from rvm_export.wire import KINDS, ONNX_KINDS, Layout, ModelKind

REFERENCE = "reference"


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    name: str
    """For people: model and version, or the folder, or `reference`."""
    subject: Subject


@dataclass(frozen=True)
class Found:
    """A version's folder, and what it holds."""

    name: str
    folder: Path
    kind: ModelKind
    manifest: Manifest


def find_version(name: str, repositories: list[Repository]) -> Found:
    """The version that a user means.

    Args:
        name: a number, of the first model that has it; MODEL/NUMBER; or a version's folder.
        repositories: the models in which numbers are looked for.

    Raises:
        UsageError: there is none.
        RepositoryError: it has no manifest.
    """
    if name.isascii() and name.isdigit():
        return _numbered(int(name), repositories)
    for folder in (*(r.path / name for r in repositories[:1]), Path(name)):
        if folder.is_dir():
            manifest = Manifest.read(folder)
            return Found(name, folder, _kind(folder, manifest), manifest)
    raise UsageError(
        f"there is no version {name}; give a number, MODEL/NUMBER, a version's folder or "
        f"{REFERENCE}"
    )


def _numbered(number: int, repositories: list[Repository]) -> Found:
    having = [repository for repository in repositories if number in repository.versions()]
    repository = (having or repositories)[0]
    folder = repository.version_folder(repository.published(number))
    name = f"{repository.kind.name}/{number}"
    return Found(name, folder, repository.kind, Manifest.read(folder))


def _kind(folder: Path, manifest: Manifest) -> ModelKind:
    """As the manifest says; where an older one says nothing, as the folder is called."""
    if manifest.layout is not None:
        return ModelKind(manifest.variant, manifest.layout, manifest.format)
    names = {kind.name: kind for kind in (*KINDS, *ONNX_KINDS)}
    fallback = ModelKind(manifest.variant, Layout.RGB, manifest.format)
    return names.get(folder.resolve().parent.name, fallback)


def version_side(found: Found, device: str) -> Side:
    """A version, loaded.

    Raises:
        UsageError: it is ONNX, and a package is missing.
        VerificationError: its file cannot be loaded.
    """
    check_format(found.kind, device)
    path = found.folder / found.kind.format.file_name
    if not path.is_file():
        raise VerificationError(f"there is no {path}")
    try:
        model = load_model(path, found.kind.format, device)
    except RuntimeError as exc:
        raise VerificationError(f"{path} cannot be loaded: {in_one_line(exc)}") from exc
    kind = found.kind
    subject = Subject(model, kind.layout, found.manifest.precision, device, kind.variant)
    return Side(found.name, subject)


def reference_side(weights: Weights, layout: Layout) -> Side:
    """The eager network in float32 on the CPU, in a layout."""
    return Side(REFERENCE, eager_subject(weights.network(), layout))
