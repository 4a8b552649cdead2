"""Packets to frames, past damage, by the fastest means that will do."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import av

from rvm_client.closing import Closing
from rvm_client.decode.given_frames import GivenFrames
from rvm_client.decode.header import read_header
from rvm_client.decode.nvdec import HardwareError, NvdecDecoder, suits
from rvm_client.decode.software import SoftwareDecoder
from rvm_client.decode.stream import DamageError, Source
from rvm_client.errors import InputError
from rvm_client.machine import check_memory, say_once
from rvm_client.options import Limits


class Decoder(Protocol):
    """One way to decode a file's video stream."""

    @property
    def name(self) -> str:
        """FFmpeg's name of it; `..._nvdec` on a GPU."""

    @property
    def damaged_packets(self) -> int:
        """Packets passed over since `frames` began."""

    def frames(self, near_pts: int | None) -> Iterator[av.VideoFrame]:
        """See SourceDecoder.

        Raises:
            HardwareError, DamageError: it cannot go on, and another decoder should.
        """

    def close(self) -> None:
        """Close the file."""


class SourceDecoder(Closing):
    """The frames of one file's video stream, in order of presentation.

    Damaged packets are counted and passed over. Decoders that work on several frames at once
    report damage late and can lose good frames over it, so the file is then decoded a second
    time with one frame at a time, from where it was begun, and what had come out is left out.

    Where there is an NVIDIA GPU it decodes what suits it. At the first error, or anything else
    that is not as software would have it, all this is done by software, likewise from where it
    was begun.

    Args:
        path: a media file.
        limits: what its pictures may be at most, and where a GPU may be; None for a file of our
            own, which is decoded in software.
        keeps_alpha: decode the alpha of WebM files and of HEVC, too.

    Raises:
        InputError: the file cannot be opened, has no video stream, or too large a picture.
    """

    def __init__(self, path: Path, limits: Limits | None, *, keeps_alpha: bool = False) -> None:
        self._path, self._limits = path, limits
        source = Source(path, limits, keeps_alpha)
        many_at_once = SoftwareDecoder(source)
        self.header = read_header(many_at_once.stream)
        self._codec = many_at_once.name
        self._decoder: Decoder = many_at_once
        self._slower: list[Callable[[], Decoder]] = [
            partial(SoftwareDecoder, source, one_at_a_time=True)
        ]
        has_gpu = limits is not None and limits.hardware.has_gpu and not keeps_alpha
        if has_gpu and suits(many_at_once.stream):
            many_at_once.close()
            self._decoder = NvdecDecoder(source, self._codec)
            self._slower.insert(0, partial(SoftwareDecoder, source))

    @property
    def name(self) -> str:
        """FFmpeg's name of what decodes now; `..._nvdec` on a GPU."""
        return self._decoder.name

    @property
    def damaged_packets(self) -> int:
        """Packets passed over since `frames` began."""
        return self._decoder.damaged_packets

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    def frames(self, near_pts: int | None = None) -> Iterator[av.VideoFrame]:
        """Decode, from the start or from the last keyframe at or before a time.

        Args:
            near_pts: in units of the stream's time base. Where the file's index is wrong, or
                there is none, the first frame may lie elsewhere.

        Raises:
            InputError: nothing could be decoded.
        """
        given = GivenFrames()
        while True:
            try:
                yield from given.only_new(self._decoder.frames(near_pts))
            except (HardwareError, DamageError) as exc:
                self._fall_back(exc)
            else:
                break
        if not given.count and near_pts is None:
            check_memory()
            raise InputError(self._says_undecodable())

    def _says_undecodable(self) -> str:
        text = f"{self._path} has a video stream, but not one frame can be decoded"
        if self._limits is None:
            return text
        return (
            f"{text}: they are damaged, or above the limit of {self._limits.max_frame_pixels} "
            "pixels a frame (max_frame_pixels)"
        )

    def _fall_back(self, reason: HardwareError | DamageError) -> None:
        if isinstance(reason, HardwareError):
            say_once(f"A source of {self._codec} is decoded by software: {reason}")
        self._decoder.close()
        self._decoder = self._slower.pop(0)()
