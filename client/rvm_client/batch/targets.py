"""Where the results go: a folder, or a bucket."""

import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from rvm_client.batch.items import Item
from rvm_client.config import Settings
from rvm_client.errors import OutputError, UsageError
from rvm_client.output_types import FileRole
from rvm_client.owned import OwnedFolder
from rvm_client.upload import UploadRequest, named_bucket_store

BUCKET_SCHEME = "s3"


class Target(Protocol):
    """Where results go. A file is seen there when it is whole."""

    folder: Path | None
    """The folder that it is; None: it is none of this machine."""

    def check(self) -> None:
        """Make sure that it takes files.

        Raises:
            OutputError: it does not.
            ConfigError: its settings are refused.
        """

    def place(self, item: Item) -> AbstractContextManager[Path]:
        """A context with the path to write the item's output to."""

    def keep(
        self, files: Mapping[FileRole, Path], item: Item, cancelled: threading.Event
    ) -> dict[FileRole, str]:
        """Put there what was written; where each file is then.

        Raises:
            UploadError: it cannot be stored.
            StoppedError: `cancelled` was set.
        """

    def has(self, files: Mapping[FileRole, str], output_bytes: int) -> bool:
        """Whether a result of an earlier run is still there."""


class FolderTarget:
    """A folder of this machine, or one that it shares."""

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder
        self._folder = folder

    def check(self) -> None:
        """See Target."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise OutputError(f"{self._folder} cannot be made: {exc.strerror}") from exc

    @contextmanager
    def place(self, item: Item) -> Iterator[Path]:
        """See Target: the pipeline's files appear by rename."""
        yield self._folder / item.file_names[FileRole.OUTPUT]

    def keep(
        self, files: Mapping[FileRole, Path], _item: Item, _cancelled: threading.Event
    ) -> dict[FileRole, str]:
        """See Target."""
        return {role: str(path) for role, path in files.items()}

    def has(self, files: Mapping[FileRole, str], output_bytes: int) -> bool:
        """See Target: the files are there, and the output has the size that it had."""
        # A folder that was moved, or is named another way, keeps its results.
        paths = {role: self._folder / Path(file).name for role, file in files.items()}
        if not all(path.is_file() for path in paths.values()):
            return False
        return paths[FileRole.OUTPUT].stat().st_size == output_bytes


class BucketTarget:
    """A place in an S3-compatible bucket, which the BUCKET_* settings open.

    Raises:
        UsageError: the URL names no bucket.
        ConfigError: a setting is missing.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        parts = urllib.parse.urlsplit(url)
        if not parts.netloc:
            raise UsageError(f"{url} names no bucket; write it as s3://BUCKET/PREFIX")
        self.folder: Path | None = None
        self._url = url.rstrip("/")
        self._prefix = parts.path.strip("/")
        self._store = named_bucket_store(settings, parts.netloc)
        self._timeout_s = settings.upload_timeout_s

    def check(self) -> None:
        """See Target."""
        self._store.check()

    @contextmanager
    def place(self, item: Item) -> Iterator[Path]:
        """See Target: a folder of its own, gone afterwards."""
        with OwnedFolder("rvm-batch") as folder:
            yield folder.path / item.file_names[FileRole.OUTPUT]

    def keep(
        self, files: Mapping[FileRole, Path], item: Item, cancelled: threading.Event
    ) -> dict[FileRole, str]:
        """See Target. The output goes last: where it is, the others are."""
        for role, path in sorted(files.items(), key=lambda file: file[0] is FileRole.OUTPUT):
            kind = item.options.output_type.content_type(role)
            request = UploadRequest(path, self._prefix, path.stem, kind)
            self._store.upload(request, cancelled=cancelled, timeout_s=self._timeout_s)
        return {role: f"{self._url}/{path.name}" for role, path in files.items()}

    def has(self, files: Mapping[FileRole, str], _output_bytes: int) -> bool:
        """See Target: what the report says is believed, for files in this place."""
        return all(file.rpartition("/")[0] == self._url for file in files.values())


def open_target(text: str, settings: Settings) -> Target:
    """The target that a command names.

    Raises:
        UsageError: it is a URL of another kind, or names no bucket.
        ConfigError: a setting is missing.
    """
    scheme, mark, _ = text.partition("://")
    if not mark:
        return FolderTarget(Path(text))
    if scheme != BUCKET_SCHEME:
        raise UsageError(f"{scheme}:// cannot be written to; give a folder or s3://BUCKET/PREFIX")
    return BucketTarget(text, settings)
