"""A folder of this machine, for development."""

import os
import tempfile
from pathlib import Path

from rvm_client.errors import ConfigError, UploadError
from rvm_client.net import Deadline
from rvm_client.owned import part_file
from rvm_client.upload.store import (
    ProgressMeter,
    Store,
    UploadRequest,
    read_blocks,
)

_BLOCK_BYTES = 1024 * 1024


class LocalStore(Store):
    """Copies results into a folder and returns `file://` URLs."""

    name = "a local folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def _check(self, _deadline: Deadline) -> None:
        """Raises: ConfigError: if the folder cannot be made or written to."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._folder):
                pass
        except OSError as exc:
            raise ConfigError(
                f"the upload folder {self._folder} cannot be written to: {exc.strerror}"
            ) from exc

    def _send(self, request: UploadRequest, meter: ProgressMeter, deadline: Deadline) -> str:
        """The file appears under its name only when it is whole."""
        target = self._folder / request.key
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_whole(request.path, target, meter, deadline)
        except OSError as exc:
            raise UploadError(f"{target} could not be written: {exc.strerror}") from exc
        return target.as_uri()


def _copy_whole(source: Path, target: Path, meter: ProgressMeter, deadline: Deadline) -> None:
    with part_file(target) as part:
        with part.path.open("wb") as copy:
            for block in read_blocks(source, _BLOCK_BYTES):
                deadline.check()
                copy.write(block)
                meter.reached(copy.tell())
            copy.flush()
            os.fsync(copy.fileno())
        part.publish(target)
