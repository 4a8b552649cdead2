"""What every store takes, gives and reports, and the checks that all of them share."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rvm_client.errors import UploadError, UsageError
from rvm_client.net import Deadline

# Small, so that progress moves often and a broken connection costs little. S3 takes no smaller
# part but the last than 5 MiB, and Cloudinary no smaller chunk than 5 MB.
CHUNK_BYTES = 6 * 1000 * 1000
# To find out at the start whether a store would take a file.
_CHECK_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class UploadRequest:
    """One file to store.

    Raises:
        UsageError: if `folder` or `name` could lead out of the store's own space.
    """

    path: Path
    folder: str  # "rvm-output" or "a/b"; "" is the top of the store
    name: str  # unique within the folder, without an extension
    content_type: str  # "video/mp4"

    def __post_init__(self) -> None:
        if "/" in self.name or not _is_plain(self.name):
            raise UsageError(f"the name {self.name!r} cannot be used for a stored file")
        if self.folder and not all(map(_is_plain, self.folder.split("/"))):
            raise UsageError(
                f"the folder {self.folder!r} cannot be used: give names joined by '/', "
                "without '..', backslashes or a '/' at either end"
            )

    @property
    def key(self) -> str:
        """Folder, name and the file's own extension: "rvm-output/a1b2.mp4"."""
        file_name = f"{self.name}{self.path.suffix}"
        return f"{self.folder}/{file_name}" if self.folder else file_name


@dataclass(frozen=True)
class UploadProgress:
    """How much of one file has been sent."""

    sent_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class UploadResult:
    """Where the file is now."""

    url: str
    bytes: int
    store: str


ProgressCallback = Callable[[UploadProgress], None]


class ProgressMeter:
    """Turns what was sent into reports that only grow and end at the total."""

    def __init__(self, total_bytes: int, on_progress: ProgressCallback | None) -> None:
        self.total_bytes = total_bytes
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._sent_bytes = 0
        self._reported_bytes = -1
        self.reached(0)

    def reached(self, sent_bytes: int) -> None:
        """Report a position. A store that starts again may go back; the report does not."""
        with self._lock:
            self._sent_bytes = sent_bytes
            self._report(min(sent_bytes, self.total_bytes - 1))

    def moved(self, more_bytes: int) -> None:
        """Report a step from the last position; negative where bytes will be sent again."""
        with self._lock:
            self._sent_bytes += more_bytes
            self._report(min(self._sent_bytes, self.total_bytes - 1))

    def finished(self) -> None:
        """Report the total."""
        with self._lock:
            self._report(self.total_bytes)

    def _report(self, sent_bytes: int) -> None:
        if sent_bytes > self._reported_bytes:
            self._reported_bytes = sent_bytes
            if self._on_progress is not None:
                self._on_progress(UploadProgress(sent_bytes, self.total_bytes))


class Store(ABC):
    """A place for results. One object serves many jobs, from any thread.

    `name` is what users read: "Uploading to {name} (40%)". Above `max_file_bytes` a smaller
    encoding should be sent; None is no limit. `upload` does not enforce it: the place itself
    has the last word.
    """

    name: str
    max_file_bytes: int | None = None

    def check(self) -> None:
        """Make sure, cheaply, that the store would take a file.

        Raises:
            ConfigError: if its settings are refused.
            UploadError: if it cannot be reached.
        """

        def overdue() -> UploadError:
            return UploadError(f"{self.name} did not answer within {_CHECK_TIMEOUT_S:g} s")

        with Deadline(_CHECK_TIMEOUT_S, overdue=overdue) as deadline:
            self._check(deadline)

    def upload(
        self,
        request: UploadRequest,
        *,
        on_progress: ProgressCallback | None = None,
        cancelled: threading.Event | None = None,
        timeout_s: float = 180.0,
    ) -> UploadResult:
        """Store one file whole, or leave nothing of it behind that can be seen.

        `on_progress` may be called from another thread, never twice at once; it starts at 0,
        never goes back, and reaches the total only when the store has confirmed the file.
        `timeout_s` is for everything, waits between attempts included.

        Raises:
            UploadError: if the file could not be stored.
            StoppedError: soon after `cancelled` was set.
        """

        def overdue() -> UploadError:
            return UploadError(
                f"the upload to {self.name} took longer than the limit of {timeout_s:g} s "
                "(RVM_UPLOAD_TIMEOUT_S); the store may be down or slow"
            )

        meter = ProgressMeter(file_bytes(request.path), on_progress)
        with Deadline(timeout_s, cancelled, overdue) as deadline:
            deadline.check()
            url = self._send(request, meter, deadline)
        meter.finished()
        return UploadResult(url, meter.total_bytes, self.name)

    @abstractmethod
    def _check(self, deadline: Deadline) -> None:
        """Do what `check` says, and no longer than the deadline allows."""

    @abstractmethod
    def _send(self, request: UploadRequest, meter: ProgressMeter, deadline: Deadline) -> str:
        """Do what `upload` says, no longer than the deadline allows, and return the file's URL."""


def file_bytes(path: Path) -> int:
    """Size of the file to store.

    Raises:
        UploadError: if there is no such file, or it is empty.
    """
    try:
        size_bytes = path.stat().st_size
    except OSError as exc:
        raise unreadable(path, exc) from exc
    if size_bytes == 0:
        raise UploadError(f"{path} is empty: there is nothing to upload")
    return size_bytes


def read_blocks(path: Path, block_bytes: int) -> Iterator[bytes]:
    """The file in pieces of `block_bytes`, the last one shorter.

    Raises:
        UploadError: if the file cannot be read.
    """
    try:
        with path.open("rb") as source:
            while block := source.read(block_bytes):
                yield block
    except OSError as exc:
        raise unreadable(path, exc) from exc


def unreadable(path: Path, exc: OSError) -> UploadError:
    """What an error becomes that came while the file to store was read."""
    return UploadError(f"{path} cannot be read for the upload: {exc.strerror}")


def _is_plain(part: str) -> bool:
    return part not in {"", ".", ".."} and "\\" not in part and part.isprintable()
