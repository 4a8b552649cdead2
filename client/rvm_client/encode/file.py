"""A file that takes its place only when it is complete."""

import errno
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av.error

from rvm_client.errors import OutputError
from rvm_client.frames import Picture
from rvm_client.machine import check_memory
from rvm_client.owned import OwnedFile, part_file

# Enough to hit the end of a full disk that has a few blocks left.
_PROBE_BYTES = 1 << 20


class OutputFile(ABC):
    """Grows beside `path` under a hidden name, and takes its place with `publish`.

    Raises:
        OutputError: from every method but `discard`: the folder cannot be written, the disk
            is full, or the encoder refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.encoder: str | None = None
        """FFmpeg's name of what encodes the frames; None where there is nothing to encode."""
        self._part: OwnedFile | None = None

    def open(self) -> None:
        """Make the hidden file."""
        with self._failing_clearly():
            self._check_folder()
            # FFmpeg opens the file with the first packet, which may be many frames away.
            self._part = part_file(self.path)
            self._open()

    def write(self, picture: Picture) -> None:
        """Encode the next frame."""
        with self._failing_clearly():
            self._write(picture)

    def finish(self) -> None:
        """Write what is left; afterwards the hidden file is complete."""
        with self._failing_clearly():
            self._finish()

    def publish(self) -> None:
        """Give the complete file its name."""
        with self._failing_clearly():
            assert self._part is not None
            self._part.publish(self.path)

    def discard(self) -> None:
        """Remove the hidden file, whatever its state."""
        # The file goes away; that it cannot be finished does not matter.
        with suppress(OSError, av.error.FFmpegError):
            self._close()
        if self._part is not None:
            self._part.close()

    @property
    def _partial(self) -> Path:
        """The hidden file; there is one from `open` on."""
        assert self._part is not None
        return self._part.path

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _write(self, picture: Picture) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    @abstractmethod
    def _close(self) -> None:
        """Let go of what `_open` opened, before the file is removed."""

    def _check_folder(self) -> None:
        folder = self.path.parent
        if not folder.is_dir():
            raise OutputError(f"there is no folder {folder} to write {self.path.name} into")
        if self.path.is_dir():
            raise OutputError(f"{self.path} is a folder; give the name of a file")

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        """The one place where FFmpeg's and the system's errors become ours."""
        try:
            yield
        except (OSError, av.error.FFmpegError) as exc:
            check_memory()
            raise OutputError(f"{self.path} cannot be written: {self._reason(exc)}") from exc

    def _reason(self, exc: OSError | av.error.FFmpegError) -> str:
        if exc.errno == errno.EINVAL and self._partial.exists():
            # After a write that failed, FFmpeg only says "invalid argument".
            try:
                with self._partial.open("ab") as file:
                    file.write(bytes(_PROBE_BYTES))
            except OSError as real:
                return real.strerror or str(real)
        return exc.strerror or str(exc)
