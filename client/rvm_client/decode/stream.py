"""A file's video stream with a decoder for it, to be decoded from wherever one likes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import av
import av.error
from av.codec.hwaccel import HWAccel
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from rvm_client.closing import Closing
from rvm_client.decode.alpha_layer import AlphaLayerDecoder, alpha_layer_of
from rvm_client.decode.file import open_source, read_packets, size_options
from rvm_client.decode.limits import check_frame_pixels, video_stream
from rvm_client.machine import check_memory
from rvm_client.options import Limits

VideoPacket: TypeAlias = "av.Packet[VideoStream]"

# A decoder holds back one frame for each of its threads (16 at most) and each reordered one
# (16 at most). More packets than this without a frame are a habit of the codec, not a loss.
_LARGEST_DELAY_PACKETS = 32

# FFmpeg's own VP8 and VP9 decoders drop alpha; libvpx keeps it.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


# For a file of our own.
_ANY_SIZE = Limits(max_frame_pixels=1 << 30)


class DamageError(Exception):
    """A packet cannot be decoded, or frames are missing at the end."""


@dataclass(frozen=True)
class Source:
    """A media file whose video stream is decoded."""

    path: Path
    limits: Limits | None
    """What its pictures may be at most; None for a file of our own."""
    keeps_alpha: bool = False
    """Decode the alpha of WebM files and of HEVC, too."""


class SourceStream(Closing):
    """The video stream of an open file. It can be begun anew as often as one likes.

    Args:
        source: the file.
        thread_type: PyAV's name of how the decoder shares its work among threads.
        thread_count: of the decoder; 0: as it likes.
        accelerator: what decodes, if not software.

    Raises:
        InputError: the file cannot be opened, has no video stream, or too large a picture.
    """

    def __init__(
        self,
        source: Source,
        *,
        thread_type: str,
        thread_count: int = 0,
        accelerator: HWAccel | None = None,
    ) -> None:
        self._source, self._accelerator = source, accelerator
        self._thread_type, self._thread_count = thread_type, thread_count
        self._open()

    def _open(self) -> None:
        limits = self._source.limits or _ANY_SIZE
        self.container = open_source(
            self._source.path, self._accelerator, max_frame_pixels=limits.max_frame_pixels
        )
        self._is_begun = False
        try:
            self.stream = video_stream(self.container, self._source.path)
            self._check_picture()
            self.decoder = self._choose_decoder()
            for context in _contexts(self.decoder):
                context.options = size_options(limits.max_frame_pixels)
                context.thread_type = self._thread_type
                context.thread_count = self._thread_count
        except BaseException:
            self.container.close()
            raise

    def _check_picture(self) -> None:
        context, limits = self.stream.codec_context, self._source.limits
        if limits is not None:
            check_frame_pixels(self._source.path, context.width, context.height, limits)

    def _choose_decoder(self) -> VideoCodecContext | AlphaLayerDecoder:
        own = self.stream.codec_context
        if not self._source.keeps_alpha:
            return own
        layer = alpha_layer_of(own)
        if layer is not None:
            return AlphaLayerDecoder(own, layer)
        name = _ALPHA_DECODERS.get(own.name)
        if name is None or self.stream.metadata.get("alpha_mode") != "1":
            return own
        decoder = av.CodecContext.create(name, "r")
        assert isinstance(decoder, VideoCodecContext)
        return decoder

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def begin(self, near_pts: int | None) -> None:
        """Go to the start, or to the last keyframe at or before a time.

        Args:
            near_pts: in units of the stream's time base. Where the file's index is wrong, or
                there is none, the first frame may lie elsewhere.
        """
        if near_pts is not None:
            self._seek(near_pts)
        elif self._is_begun:
            self._reopen()
        self._is_begun = True

    def _seek(self, pts: int) -> None:
        try:
            self.container.seek(pts, stream=self.stream)
            self.decoder.flush_buffers()
        except av.error.FFmpegError:
            # Raw streams have no index: what follows is the start of the file.
            self._reopen()

    def _reopen(self) -> None:
        self.close()
        self._open()

    def packets(self) -> Iterator[VideoPacket]:
        """The packets from here on, and an empty one at the end."""
        return read_packets(self.container, self.stream)

    def frames(self) -> Iterator[av.VideoFrame]:
        """Decode from here on, up to the first damage.

        Raises:
            DamageError: there is some.
        """
        missing = 0
        try:
            for packet in self.packets():
                frames = self.decoder.decode(packet)
                yield from frames
                missing += _carries_picture(packet) - len(frames)
        except av.error.FFmpegError as exc:
            check_memory()
            raise DamageError("a packet cannot be decoded") from exc
        if 0 < missing <= _LARGEST_DELAY_PACKETS:
            raise DamageError("frames are missing")


def _contexts(decoder: VideoCodecContext | AlphaLayerDecoder) -> tuple[VideoCodecContext, ...]:
    return decoder.contexts if isinstance(decoder, AlphaLayerDecoder) else (decoder,)


def _carries_picture(packet: VideoPacket) -> int:
    """1 or 0. The last packet of a stream is empty; those before an edit are discarded."""
    return int(packet.size > 0 and not packet.is_discard)
