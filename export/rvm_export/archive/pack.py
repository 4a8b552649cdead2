"""Pack a version: the same files give the same bytes, whenever and wherever they are packed."""

import gzip
import io
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from rvm_export.archive.contents import LICENCE_FILE, SUMS_FILE, sums_text, version_files
from rvm_export.errors import RepositoryError
from rvm_export.hashes import sha256_of
from rvm_export.repository import (
    CONFIG_FILE,
    WARMUP_FOLDER,
    Manifest,
    Repository,
    without_policy,
)

_GZIP_LEVEL = 6

_LICENCE = """\
The models in this archive contain the weights of RobustVideoMatting
(https://github.com/PeterL1n/RobustVideoMatting), or weights that were trained from them. Those
weights are licensed under the GNU General Public License, version 3.0 (GPL-3.0-only): whoever
passes this archive on passes on GPL-3.0 weights. The text of the licence is at
https://www.gnu.org/licenses/gpl-3.0.html.

Where the weights came from:

{sources}
The archive was made by rvm-triton, whose own code is under the Apache License, Version 2.0.
"""


def pack(models: Sequence[Repository], version: int, target: Path) -> str:
    """Write the archive of a version, whole or not at all, in place of a file of that name.

    Args:
        models: the layouts that have the version.
        version: of each of them.
        target: the archive.

    Returns:
        Its SHA-256, in hex.

    Raises:
        RepositoryError: the version cannot be read, or the archive cannot be written.
        VerificationError: a model is not the one that its manifest was written for.
    """
    try:
        files = _files(models, version)
    except OSError as exc:
        raise RepositoryError(f"cannot read {exc.filename}: {exc.strerror}") from exc
    try:
        with _hidden_file(target) as out:
            _write(out, files)
            out.flush()
            os.fsync(out.fileno())
            digest = sha256_of(Path(out.name))
            Path(out.name).replace(target)
    except OSError as exc:
        raise RepositoryError(f"cannot write {target}: {exc.strerror or exc}") from exc
    return digest


@contextmanager
def _hidden_file(target: Path) -> Iterator[BinaryIO]:
    """A file beside `target`, gone at the end if it has not been renamed."""
    path = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with path.open("wb") as out:
            yield out
    finally:
        path.unlink(missing_ok=True)


def _files(models: Sequence[Repository], version: int) -> dict[str, Path | bytes]:
    """What goes into the archive, by name: files as they are, and what is written for it."""
    files: dict[str, Path | bytes] = {}
    sources = {}
    for model in models:
        folder, name = model.version_folder(version), model.kind.name
        manifest = Manifest.read(folder)
        sources[name] = f"{name}, version {version}:\n    {manifest.weights_source}\n"
        sources[name] += f"    SHA-256 {manifest.weights_sha256}\n"
        manifest.check_hash(model.model_file(version))
        files |= {f"{name}/{version}/{file}": folder / file for file in version_files(model.kind)}
        # Which version is active is a matter of the repository, and not of the version.
        config = (model.model_folder / CONFIG_FILE).read_text("utf-8")
        files[f"{name}/{CONFIG_FILE}"] = without_policy(config).encode()
        warmup = model.model_folder / WARMUP_FOLDER
        files |= {f"{name}/{WARMUP_FOLDER}/{p.name}": p for p in warmup.glob("*") if p.is_file()}
    files[LICENCE_FILE] = _LICENCE.format(sources="\n".join(sources.values())).encode()
    files[SUMS_FILE] = sums_text({name: _hash(file) for name, file in files.items()}).encode()
    return files


def _hash(file: Path | bytes) -> str:
    return sha256(file).hexdigest() if isinstance(file, bytes) else sha256_of(file)


def _write(out: BinaryIO, files: Mapping[str, Path | bytes]) -> None:
    with (
        gzip.GzipFile("", "wb", _GZIP_LEVEL, out, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(files):
            file = files[name]
            info = tarfile.TarInfo(name)  # of no time and no owner
            if isinstance(file, bytes):
                info.size = len(file)
                archive.addfile(info, io.BytesIO(file))
            else:
                info.size = file.stat().st_size
                with file.open("rb") as stream:
                    archive.addfile(info, stream)
