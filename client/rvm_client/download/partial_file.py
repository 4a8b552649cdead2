"""A file that appears under its name only when it is whole."""

from pathlib import Path

from rvm_client.closing import Closing
from rvm_client.download.http_errors import storage_error
from rvm_client.owned import part_file


class PartialFile(Closing):
    """Collects bytes beside `target`; `publish` renames, and else nothing is left behind.

    Each method raises DownloadError when the disk refuses.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self.received_bytes = 0
        try:
            self._part = part_file(target)
            # Unbuffered: the pieces are large, and what was counted has been written.
            self._file = self._part.path.open("wb", buffering=0)
        except OSError as exc:
            raise storage_error(exc, self._target) from exc

    def close(self) -> None:
        """Remove what was not published."""
        self._file.close()
        self._part.close()

    def write(self, piece: bytes) -> None:
        """Append all of `piece`."""
        rest = memoryview(piece)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as exc:
            raise storage_error(exc, self._target) from exc
        self.received_bytes += len(piece)

    def restart(self) -> None:
        """Drop what was written."""
        try:
            self._file.seek(0)
            self._file.truncate()
        except OSError as exc:
            raise storage_error(exc, self._target) from exc
        self.received_bytes = 0

    def publish(self) -> None:
        """Give the file its name, in place of an older one."""
        try:
            self._file.close()
            self._part.publish(self._target)
        except OSError as exc:
            raise storage_error(exc, self._target) from exc
