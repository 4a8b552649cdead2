"""How a stranger's files are opened: in this process, or in one that has nothing to lose."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rvm_client.backdrop import Fit, read_picture
from rvm_client.decode import Reader, VideoReader
from rvm_client.isolated.process import DecoderProcess
from rvm_client.isolated.sound import open_isolated_sound
from rvm_client.isolated.video import IsolatedReader, isolated_picture
from rvm_client.options import Limits, MatteOptions
from rvm_client.pixels import UInt8Array
from rvm_client.sound import FileSound, SoundSource


class Opener(Protocol):
    """Opens what strangers made."""

    def video(
        self,
        path: Path,
        options: MatteOptions | None = None,
        limits: Limits | None = None,
        *,
        keeps_alpha: bool = False,
        takes_planes: bool = False,
    ) -> Reader:
        """See VideoReader."""

    def picture(self, path: Path, fit: Fit) -> UInt8Array | None:
        """See `read_picture`."""

    def sound(self, path: Path, warn: Callable[[str], None]) -> SoundSource | None:
        """See FileSound.open."""


class OpensHere:
    """In this process; see Opener."""

    def video(
        self,
        path: Path,
        options: MatteOptions | None = None,
        limits: Limits | None = None,
        *,
        keeps_alpha: bool = False,
        takes_planes: bool = False,
    ) -> Reader:
        """See VideoReader."""
        return VideoReader(
            path, options, limits, keeps_alpha=keeps_alpha, takes_planes=takes_planes
        )

    def picture(self, path: Path, fit: Fit) -> UInt8Array | None:
        """See `read_picture`."""
        return read_picture(path, fit)

    def sound(self, path: Path, warn: Callable[[str], None]) -> SoundSource | None:
        """See FileSound.open."""
        return FileSound.open(path, warn)


class OpensInProcess:
    """In a process of its own; see Opener. Its end, whatever the cause, is an InputError."""

    def __init__(self, process: DecoderProcess) -> None:
        self._process = process

    def video(
        self,
        path: Path,
        options: MatteOptions | None = None,
        limits: Limits | None = None,
        *,
        keeps_alpha: bool = False,
        takes_planes: bool = False,
    ) -> Reader:
        """See VideoReader."""
        return IsolatedReader(
            self._process,
            path,
            options or MatteOptions(),
            limits or Limits(),
            keeps_alpha=keeps_alpha,
            takes_planes=takes_planes,
        )

    def picture(self, path: Path, fit: Fit) -> UInt8Array | None:
        """See `read_picture`."""
        return isolated_picture(self._process, path, fit)

    def sound(self, path: Path, warn: Callable[[str], None]) -> SoundSource | None:
        """See FileSound.open."""
        return open_isolated_sound(self._process, path, warn)
