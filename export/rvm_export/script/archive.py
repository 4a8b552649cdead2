"""What is in a TorchScript file: a zip archive of weights, code and a few notes.

Two files of the same program differ in names that PyTorch counts up while a process runs
(`___torch_mangle_7`), and in where the sources lay. Neither changes what is computed.
"""

import hashlib
import pickletools
import re
import zipfile
from pathlib import Path

from rvm_export.errors import VerificationError

_MANGLED = re.compile(r"___torch_mangle_\d+")
# Where the sources lay; and a hash of all the rest.
_NOTES = (".debug_pkl", ".data/serialization_id")


def archive_version(path: Path) -> int:
    """The version of the archive's format, as PyTorch counts it. A server reads up to its own.

    Raises:
        VerificationError: it is no TorchScript file.
    """
    with _opened(path) as archive:
        return int(archive.read(f"{_root(archive)}version"))


def program_sha256(path: Path) -> str:
    """A hash of what is computed, weights and code, whatever its parts are called.

    Raises:
        VerificationError: it is no TorchScript file.
    """
    digest = hashlib.sha256()
    with _opened(path) as archive:
        root = _root(archive)
        names = [name for name in archive.namelist() if not name.endswith(_NOTES)]
        for name in sorted(names, key=lambda name: _MANGLED.sub("", name)):
            digest.update(_MANGLED.sub("", name.removeprefix(root)).encode())
            digest.update(hashlib.sha256(_settled(name, archive.read(name))).digest())
    return digest.hexdigest()


def _settled(name: str, data: bytes) -> bytes:
    if name.endswith(".py"):
        return _MANGLED.sub("", data.decode()).encode()
    if name.endswith(".pkl"):
        # The length of a name is written before it: the operations are compared, not the bytes.
        operations = [(op.name, argument) for op, argument, _ in pickletools.genops(data)]
        return _MANGLED.sub("", repr(operations)).encode()
    return data


def _root(archive: zipfile.ZipFile) -> str:
    """The folder that all members are in."""
    return f"{archive.namelist()[0].partition('/')[0]}/"


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as exc:
        raise VerificationError(f"{path} is not a TorchScript file: {exc}") from exc
