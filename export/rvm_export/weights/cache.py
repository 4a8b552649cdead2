"""The cache of fetched files: written whole or not at all, and checked when read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rvm_export.errors import WeightsError
from rvm_export.hashes import sha256_of


@dataclass(frozen=True)
class Cache:
    """Files under `folder`, each with its hash beside it in `NAME.sha256`."""

    folder: Path

    def find(self, name: str, sha256: str | None = None) -> Path | None:
        """The file if it is there with its recorded (and the given) hash; else None.

        A file that does not match is taken as absent, so that it is fetched again.
        """
        path = self.folder / name
        try:
            recorded = self._record(name).read_text("ascii").strip()
            actual = sha256_of(path)
        except (OSError, ValueError):
            return None
        return path if actual == recorded and sha256 in (None, actual) else None

    def add(self, file: Path, name: str) -> Path:
        """Move a complete file from a `workspace` into the cache.

        The hash goes first: without its file it counts as absent, and so does an older file
        with a newer hash.
        """
        record = file.with_name(f"{name}.sha256")
        record.write_text(f"{sha256_of(file)}\n", "ascii")
        record.replace(self._record(name))
        file.replace(self.folder / name)
        return self.folder / name

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A temporary folder on the cache's file system, gone at the end."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = TemporaryDirectory(prefix=".fetch-", dir=self.folder)
        except OSError as exc:
            raise WeightsError(
                f"cannot write the cache {self.folder}: {os.strerror(exc.errno or 0)}; "
                "set RVM_CACHE_DIR to a folder that can be written"
            ) from exc
        with temporary as folder:
            yield Path(folder)

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.sha256"
