"""Unpack an archive that anybody may have made: nothing of it is written but what is known."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO

from rvm_export.archive.contents import (
    MAX_ARCHIVE_BYTES,
    MAX_MEMBERS,
    SUMS_FILE,
    Contents,
    check_sums,
    max_bytes,
)
from rvm_export.errors import ArchiveError

_BLOCK_BYTES = 2**18


def unpack(archive: Path, folder: Path) -> Contents:
    """Write the files of an archive below an empty folder, and check their names and hashes.

    Raises:
        ArchiveError: it is damaged, or holds something else than one version.
    """
    hashes: dict[str, str] = {}
    with _opened(archive) as members:
        for member in members:
            _check(member, hashes)
            stream = members.extractfile(member)
            assert stream is not None  # it is a file
            hashes[member.name] = _copy(stream, folder / member.name, member.size)
    contents = Contents.of({*hashes})
    del hashes[SUMS_FILE]
    check_sums((folder / SUMS_FILE).read_text("ascii", "replace"), hashes)
    return contents


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with (
            gzip.open(archive) as packed,
            tarfile.open(fileobj=_Bounded(packed), mode="r:") as members,
        ):
            yield members
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as exc:
        raise ArchiveError(f"{archive} is damaged, or no archive of a version: {exc}") from exc
    except OSError as exc:
        raise ArchiveError(f"cannot unpack {archive}: {exc.strerror or exc}") from exc


def _check(member: tarfile.TarInfo, taken: dict[str, str]) -> None:
    # Of the types, sparse files and links are the ones that say more than they hold.
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.pax_headers:
        raise ArchiveError(f"{member.name!r} in the archive is not an ordinary file")
    if member.name in taken:
        raise ArchiveError(f"the archive has {member.name!r} twice")
    if len(taken) == MAX_MEMBERS:
        raise ArchiveError(f"the archive has more than {MAX_MEMBERS} files")
    if member.size > (most := max_bytes(member.name)):
        raise ArchiveError(
            f"{member.name} in the archive has {member.size} bytes, and at most {most} are accepted"
        )


def _copy(stream: IO[bytes], target: Path, size: int) -> str:
    """Write a file; its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = sha256()
    with target.open("xb") as out:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            size -= out.write(block)
    if size:
        raise EOFError("it ends too early")
    return digest.hexdigest()


class _Bounded(io.RawIOBase):
    """The unpacked bytes, in bounded pieces and to a bounded end, whatever a header promises."""

    def __init__(self, packed: gzip.GzipFile) -> None:
        self._packed = packed

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _BLOCK_BYTES or self._packed.tell() > MAX_ARCHIVE_BYTES:
            raise ArchiveError("the archive holds more than a version has")
        return self._packed.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset > MAX_ARCHIVE_BYTES:
            raise ArchiveError("the archive holds more than a version has")
        return self._packed.seek(offset)

    def tell(self) -> int:
        return self._packed.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
