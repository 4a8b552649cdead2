"""`config.pbtxt` of a model, and the types in it that depend on the precision."""

import re
import shutil
from importlib import resources
from pathlib import Path

from rvm_export.errors import RepositoryError, UsageError
from rvm_export.repository.repository import Repository
from rvm_export.wire import ModelKind, Precision, Variant

FILE_NAME = "config.pbtxt"
WARMUP_FOLDER = "warmup"  # Triton's name for the data of warm-up requests

# A state, as input or output (name: "r1i") or in a warm-up request (key: "r1i" value { ...).
_STATE_TYPE = re.compile(
    r'((?:name|key):\s*"r[1-4][io]"\s*(?:value\s*\{\s*)?data_type:\s*)(TYPE_\w+)'
)


# The variant that the packaged configs are written for; the others' differ by the name alone.
_PACKAGED = Variant.MOBILENETV3


def packaged_folder(kind: ModelKind) -> Path:
    """The folder of the `config.pbtxt` that a model's is made from, with its warm-up.

    There is one for each layout and format.
    """
    name = ModelKind(_PACKAGED, kind.layout, kind.format).name
    return Path(str(resources.files("rvm_export"))) / "data" / name


def packaged_config(kind: ModelKind) -> str:
    """The `config.pbtxt` of a model, in float32."""
    text = (packaged_folder(kind) / FILE_NAME).read_text("utf-8")
    text = text.replace(f"({_PACKAGED.paper_name})", f"({kind.variant.paper_name})")
    packaged, own = (ModelKind(variant).name for variant in (_PACKAGED, kind.variant))
    return text.replace(packaged, own)


def check_precision(repository: Repository, precision: Precision) -> None:
    """Make sure that a version of `precision` may be added to a model.

    Raises:
        UsageError: versions of another precision are there.
        RepositoryError: the config cannot be read, or names no state.
    """
    config = repository.model_folder / FILE_NAME
    if not repository.versions() or not config.exists():
        return
    try:
        found = precision_of(config.read_text("utf-8"))
    except OSError as exc:
        raise RepositoryError(f"cannot read {config}: {exc.strerror}") from exc
    if found is not precision:
        raise UsageError(
            f"{config} and the versions beside it are {found.value}, and one model has one "
            f"precision; give {precision.value} a repository of its own with --repository"
        )


def prepare_config(folder: Path, kind: ModelKind, precision: Precision) -> None:
    """Make the `config.pbtxt` of a folder say `precision`, writing the packaged one if none.

    Raises:
        RepositoryError: the config cannot be read or written, or names no state.
    """
    config = folder / FILE_NAME
    try:
        if not config.exists():
            _copy_packaged(folder, kind)
        text = config.read_text("utf-8")
        if precision_of(text) is not precision:
            replace_text(config, with_precision(text, precision))
    except OSError as exc:
        raise RepositoryError(f"cannot write {config}: {exc.strerror}") from exc


def precision_of(text: str) -> Precision:
    """The precision of the states, as a `config.pbtxt` has them.

    Raises:
        RepositoryError: the states have no type, several types, or another one.
    """
    types = {match[1] for match in _STATE_TYPE.findall(text)}
    for precision in Precision:
        if types == {precision.triton_type}:
            return precision
    raise RepositoryError(f"{FILE_NAME} gives the states the types {sorted(types) or 'none'}")


def with_precision(text: str, precision: Precision) -> str:
    """The text with all states in another precision."""
    return _STATE_TYPE.sub(rf"\g<1>{precision.triton_type}", text)


def _copy_packaged(folder: Path, kind: ModelKind) -> None:
    warmup = packaged_folder(kind) / WARMUP_FOLDER
    shutil.copytree(warmup, folder / WARMUP_FOLDER, dirs_exist_ok=True)
    replace_text(folder / FILE_NAME, packaged_config(kind))


def replace_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all. Raises OSError."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
