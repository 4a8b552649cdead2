"""Packets to frames, past damage."""

from collections.abc import Iterator
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from rvm_client.decode.file import open_source
from rvm_client.decode.limits import check_frame_pixels, video_stream
from rvm_client.decode.nvdec import GivenFrames, HardwareError, Planar, accelerator, suits
from rvm_client.errors import InputError
from rvm_client.machine import Hardware, meaning, say_once
from rvm_client.options import Limits

# A decoder holds back one frame for each of its threads (16 at most) and each reordered one
# (16 at most). More packets than this without a frame are a habit of the codec, not a loss.
_LARGEST_DELAY_PACKETS = 32
# Reading goes on past broken parts of the container, but not for ever.
_MAX_READ_ERRORS = 16

# FFmpeg's own VP8 and VP9 decoders drop alpha; libvpx keeps it.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


class _Way(Enum):
    """How frames are decoded; for software, PyAV's name of its kind of threads."""

    GPU = "gpu"
    MANY = "AUTO"
    ONE = "SLICE"


class SourceDecoder:
    """The frames of one file's video stream, in order of presentation.

    Damaged packets are counted and passed over. Decoders that work on several frames at once
    report damage late and can lose good frames over it, so the file is then decoded a second
    time with one frame at a time, from where it was begun, and what had come out is left out.

    Where there is an NVIDIA GPU it decodes what suits it. At the first error, or anything else
    that is not as software would have it, all this is done by software, likewise from where it
    was begun.

    Args:
        path: a media file.
        limits: what its pictures may be at most; None for a file of our own.
        keeps_alpha: decode the alpha of WebM files too.
        hardware: where a GPU may be.

    Raises:
        InputError: the file cannot be opened, has no video stream, or too large a picture.
    """

    def __init__(
        self,
        path: Path,
        limits: Limits | None,
        *,
        keeps_alpha: bool = False,
        hardware: Hardware | None = None,
    ) -> None:
        self._path = path
        self._limits = limits
        self._keeps_alpha = keeps_alpha
        self.damaged_packets = 0
        self._is_begun = False
        self._open(_Way.MANY)
        has_gpu = hardware is not None and hardware.has_gpu and not keeps_alpha
        self._uses_gpu = has_gpu and suits(self._container, self.stream)

    def _open(self, way: _Way) -> None:
        self._container = open_source(self._path, accelerator() if way is _Way.GPU else None)
        self._way = way
        try:
            self.stream = video_stream(self._container, self._path)
            context = self.stream.codec_context
            if self._limits is not None:
                check_frame_pixels(self._path, context.width, context.height, self._limits)
            self._decoder = _alpha_decoder(self.stream) if self._keeps_alpha else context
            if way is _Way.GPU:
                # The GPU is no faster with more, and each thread takes one of its 32 surfaces.
                self._decoder.thread_count = 1
            else:
                self._decoder.thread_type = way.value
        except BaseException:
            self._container.close()
            raise

    def _reopen(self, way: _Way) -> None:
        self.close()
        self._open(way)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    @property
    def container(self) -> av.container.InputContainer:
        """The open file."""
        return self._container

    @property
    def sample_aspect_ratio(self) -> Fraction | None:
        """The shape of the stored pixels; None where the file does not say."""
        return self.stream.sample_aspect_ratio or None

    @property
    def name(self) -> str:
        """FFmpeg's name of what decodes now; `..._nvdec` on a GPU."""
        suffix = "_nvdec" if self._way is _Way.GPU else ""
        return f"{self._decoder.name}{suffix}"

    def frames(self, near_pts: int | None = None) -> Iterator[av.VideoFrame]:
        """Decode, from the start or from the last keyframe at or before a time.

        Args:
            near_pts: in units of the stream's time base. Where the file's index is wrong, or
                there is none, the first frame may lie elsewhere.

        Raises:
            InputError: nothing could be decoded.
        """
        self.damaged_packets = 0
        if not self._uses_gpu:
            yield from self._decode_in_software(near_pts)
            return
        given = GivenFrames()
        try:
            for frame in self._decode_on_gpu(near_pts):
                given.add(frame.pts)
                yield frame
        except HardwareError as exc:
            self._leave_gpu(exc)
            yield from given.rest_of(self._decode_in_software(near_pts))

    def _leave_gpu(self, reason: HardwareError) -> None:
        say_once(f"A source of {self._decoder.name} is decoded by software: {reason}")
        self._uses_gpu = self._is_begun = False
        self._reopen(_Way.MANY)

    def _decode_in_software(self, near_pts: int | None) -> Iterator[av.VideoFrame]:
        count = 0
        self._begin(near_pts, _Way.MANY)
        try:
            for frame in self._decode_many_at_once():
                count += 1
                yield frame
        except _DamageError:
            for frame in self._begin_again(near_pts, count):
                count += 1
                yield frame
        if not count and near_pts is None:
            raise InputError(f"{self._path} has a video stream, but not one frame can be decoded")

    def _decode_on_gpu(self, near_pts: int | None) -> Iterator[av.VideoFrame]:
        try:
            if self._way is not _Way.GPU:
                self._reopen(_Way.GPU)
            self._begin(near_pts, _Way.GPU)
            planar = Planar(self.stream.codec_context.width, self.stream.codec_context.height)
            count = inside = 0
            for packet in self._container.demux(self.stream):
                frames = self._decoder.decode(packet)
                yield from map(planar.frame, frames)
                count += len(frames)
                inside += _carries_picture(packet) - len(frames)
        except (av.error.FFmpegError, InputError) as exc:
            # An error of opening has become ours.
            raise HardwareError(meaning(exc.__cause__ or exc)) from exc
        if not count or 0 < inside <= _LARGEST_DELAY_PACKETS:
            raise HardwareError("frames are missing")

    def _begin(self, near_pts: int | None, way: _Way) -> None:
        if near_pts is not None:
            self._seek(near_pts)
        elif self._is_begun:
            self._reopen(way)
        self._is_begun = True

    def _begin_again(self, near_pts: int | None, known: int) -> Iterator[av.VideoFrame]:
        self._reopen(_Way.ONE)
        if near_pts is not None:
            self._seek(near_pts)
        for index, frame in enumerate(self._decode_one_at_a_time()):
            if index >= known:
                yield frame

    def _seek(self, pts: int) -> None:
        try:
            self._container.seek(pts, stream=self.stream)
            self._decoder.flush_buffers()
        except av.error.FFmpegError:
            # Raw streams have no index: what follows is the start of the file.
            self._reopen(self._way)

    def _decode_many_at_once(self) -> Iterator[av.VideoFrame]:
        inside = 0
        try:
            for packet in self._container.demux(self.stream):
                frames = self._decoder.decode(packet)
                yield from frames
                inside += _carries_picture(packet) - len(frames)
        except av.error.FFmpegError as exc:
            raise _DamageError from exc
        if 0 < inside <= _LARGEST_DELAY_PACKETS:
            raise _DamageError

    def _decode_one_at_a_time(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            try:
                frames = self._decoder.decode(packet)
            except av.error.FFmpegError:
                self.damaged_packets += 1
                continue
            yield from frames

    def _packets(self) -> "Iterator[av.Packet[Any] | None]":
        for _ in range(_MAX_READ_ERRORS):
            try:
                yield from self._container.demux(self.stream)
            except av.error.FFmpegError:
                self.damaged_packets += 1
            else:
                return
        yield None


class _DamageError(Exception):
    """A decoder that works on many frames at once came across damage."""


def _carries_picture(packet: "av.Packet[Any]") -> int:
    """1 or 0. The last packet of a stream is empty; those before an edit are discarded."""
    return int(packet.size > 0 and not packet.is_discard)


def _alpha_decoder(stream: av.video.stream.VideoStream) -> av.video.codeccontext.VideoCodecContext:
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return stream.codec_context
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, av.video.codeccontext.VideoCodecContext)
    return decoder
