"""What an archive holds: known names of bounded size, and the hash of each file.

    LICENSE
    SHA256SUMS                          as sha256sum writes it; of all other files
    rvm_mobilenetv3/config.pbtxt
    rvm_mobilenetv3/warmup/...
    rvm_mobilenetv3/3/golden.npz
    rvm_mobilenetv3/3/manifest.json
    rvm_mobilenetv3/3/model.pt
    rvm_mobilenetv3_yuv/...             where the version has that layout, too

Unpacked into an empty folder it is a model repository.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rvm_export.errors import ArchiveError
from rvm_export.repository import GOLDEN_FILE, MANIFEST_FILE, Repository
from rvm_export.wire import KINDS, ONNX_KINDS, ModelKind

LICENCE_FILE = "LICENSE"
SUMS_FILE = "SHA256SUMS"

_KINDS = (*KINDS, *ONNX_KINDS)

_MIB = 2**20
# The largest model has 110 MB, its golden frame one.
_MAX_BYTES = {
    "model.pt": 1024 * _MIB,
    "model.onnx": 1024 * _MIB,
    "golden.npz": 64 * _MIB,
    "manifest.json": _MIB,
    "config.pbtxt": _MIB,
    LICENCE_FILE: _MIB,
    SUMS_FILE: _MIB,
}
_MAX_WARMUP_BYTES = 64 * _MIB
MAX_MEMBERS = 64
MAX_ARCHIVE_BYTES = 4096 * _MIB
"""Packed or unpacked."""

_NAME = re.compile(
    r"(?P<top>LICENSE|SHA256SUMS)"
    r"|(?P<model>rvm_\w+)/(?:"
    r"(?P<config>config\.pbtxt)"
    r"|warmup/(?P<warmup>\w[\w.-]*)"
    r"|(?P<version>[1-9]\d{0,8})/(?:model\.(?:pt|onnx)|golden\.npz|manifest\.json))",
    re.ASCII,
)
_SUM = re.compile(r"([0-9a-f]{64}) [ *](\S+)", re.ASCII)


@dataclass(frozen=True)
class Contents:
    """Which version an archive holds."""

    version: int
    kinds: tuple[ModelKind, ...]
    """Its models: one variant, one or several layouts."""

    @classmethod
    def of(cls, names: set[str]) -> "Contents":
        """As the names of the files say it.

        Raises:
            ArchiveError: a file is missing, or there is more than one version.
        """
        matches = [match for name in sorted(names) if (match := _NAME.fullmatch(name))]
        versions = {int(match["version"]) for match in matches if match["version"]}
        models = {match["model"] for match in matches if match["model"]}
        kinds = tuple(kind for kind in _KINDS if kind.name in models)
        if len(versions) != 1 or len({kind.variant for kind in kinds}) != 1:
            raise ArchiveError(
                f"the archive holds {len(versions)} versions of {len(kinds)} models, and not one "
                "version of one variant; make it with rvm-export package"
            )
        contents = cls(versions.pop(), kinds)
        for name in contents.required_names:
            if name not in names:
                raise ArchiveError(f"the archive has no {name}; it is not whole")
        return contents

    @property
    def required_names(self) -> list[str]:
        """The files that may not be missing; beside them there may be a warm-up."""
        return [
            LICENCE_FILE,
            SUMS_FILE,
            *(f"{kind.name}/config.pbtxt" for kind in self.kinds),
            *(f"{k.name}/{self.version}/{file}" for k in self.kinds for file in version_files(k)),
        ]


def version_files(kind: ModelKind) -> tuple[str, ...]:
    """The files of a version of a model."""
    return GOLDEN_FILE, MANIFEST_FILE, Repository(Path(), kind).model_file(1).name


def archive_name(kind: ModelKind, version: int) -> str:
    """What the archive of a version is called, by the first of its models."""
    return f"{kind.name}-{version}.tar.gz"


def max_bytes(name: str) -> int:
    """How large the file may be.

    Raises:
        ArchiveError: an archive has no such file.
    """
    match = _NAME.fullmatch(name)
    if match is None or (match["model"] and match["model"] not in {k.name for k in _KINDS}):
        raise ArchiveError(f"the archive has a file {name!r}, which is none of a version's")
    return _MAX_WARMUP_BYTES if match["warmup"] else _MAX_BYTES[name.rpartition("/")[2]]


def sums_text(hashes: Mapping[str, str]) -> str:
    """`SHA256SUMS` for files by name."""
    return "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))


def check_sums(text: str, hashes: Mapping[str, str]) -> None:
    """Make sure that `SHA256SUMS` has exactly the files that are there, as they are.

    Raises:
        ArchiveError: naming the file.
    """
    lines = [_SUM.fullmatch(line) for line in text.splitlines()]
    said = {line[2]: line[1] for line in lines if line}
    if None in lines or len(said) != len(lines):
        raise ArchiveError(f"the archive's {SUMS_FILE} is damaged")
    for name in sorted(said.keys() | hashes.keys()):
        if name not in hashes:
            raise ArchiveError(f"the archive has no {name}, which its {SUMS_FILE} names")
        if said.get(name) != hashes[name]:
            raise ArchiveError(
                f"{name} in the archive has the SHA-256 {hashes[name]}, but its {SUMS_FILE} says "
                f"{said.get(name, 'nothing of it')}; fetch the archive again"
            )
