"""One video file: a container, an encoder, the tags of colour and shape."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import av.error
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace

from rvm_client.errors import HardwareEncoderError
from rvm_client.frames import Picture, VideoInfo
from rvm_client.hardware import meaning, say_once
from rvm_client.options import MatteOptions
from rvm_client.output.file import OutputFile
from rvm_client.output.formats import HardwareEncoder, VideoFormat

FrameMaker = Callable[[Picture], av.VideoFrame]
"""A picture to what the encoder takes, grown to even size where the format needs that."""


# How many microseconds of one stream FFmpeg keeps while it waits for another, such as a sound
# that ended early. Its own 10 seconds are 300 MB of ProRes.
_INTERLEAVING = {"max_interleave_delta": "1000000"}


class Sound(Protocol):
    """What is muxed beside the picture; `sound.SoundTrack` is one."""

    def add_to(self, container: OutputContainer) -> None:
        """Add the stream. All streams are there before the first packet."""

    def mux_until(self, container: OutputContainer, seconds: float) -> None:
        """Mux what starts up to `seconds`."""

    def finish(self, container: OutputContainer, picture_end_seconds: float) -> None:
        """Mux the rest."""


class VideoFile(OutputFile):
    """Encodes pictures, and sound where there is some, into one video; see OutputFile.

    Where there is an NVIDIA card, its encoder is tried first.

    Raises:
        HardwareEncoderError: the card's encoder gave up on the way.
    """

    def __init__(
        self,
        path: Path,
        format_: VideoFormat,
        make_frame: FrameMaker,
        info: VideoInfo,
        options: MatteOptions,
        sound: Sound | None = None,
    ) -> None:
        super().__init__(path)
        self._format = format_
        self._make_frame = make_frame
        self._info = info
        self._options = options
        self._size = _size(format_, info)
        self._sound = sound
        self._end_pts = 0
        self._container: OutputContainer | None = None

    def _open(self) -> None:
        if not self._begins_on_card():
            self._begin(self._format)
        if self._sound is not None:
            assert self._container is not None
            self._sound.add_to(self._container)

    def _begins_on_card(self) -> bool:
        hardware = self._format.hardware
        if hardware is None or not self._options.hardware.has_card:
            return False
        if hardware.codec not in av.codecs_available:
            return False
        try:
            self._begin(hardware)
            # FFmpeg would open it with the first frame, too late for another one.
            self._stream.codec_context.open()
        except av.error.FFmpegError as exc:
            say_once(
                f"A video is encoded by {self._format.codec} and not by {hardware.codec}: "
                f"{meaning(exc)}"
            )
            # Nothing has been written: the file is opened with the first packet.
            self._close()
            return False
        return True

    def _begin(self, encoder: VideoFormat | HardwareEncoder) -> None:
        self._container = av.open(
            str(self._partial),
            "w",
            format=self._format.container,
            container_options=dict(self._format.container_options) | _INTERLEAVING,
        )
        self.encoder = encoder.codec
        options = encoder.options_for(self._options)
        self._stream = self._add_stream(self._container, encoder.codec, options)

    def _write(self, picture: Picture) -> None:
        frame = self._make_frame(picture)
        if (frame.width, frame.height) != self._size:
            width, height = self._size
            frame = frame.reformat(width, height, interpolation="BICUBIC")
        frame.pts, frame.time_base = picture.pts, self._info.time_base
        _tag(frame, self._info)
        self._end_pts = picture.pts + round(1 / (self._info.average_fps * self._info.time_base))
        self._mux(self._encode(frame))

    def _finish(self) -> None:
        assert self._container is not None
        self._mux(self._encode(None))
        if self._sound is not None:
            self._sound.finish(self._container, float(self._end_pts * self._info.time_base))
        self._container.close()

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()

    def _encode(self, frame: av.VideoFrame | None) -> "list[av.Packet[av.VideoStream]]":
        try:
            return self._stream.encode(frame)
        except av.error.FFmpegError as exc:
            if self.encoder == self._format.codec:
                raise
            raise HardwareEncoderError(
                f"{self.path} cannot be written: {self.encoder} failed: {meaning(exc)}"
            ) from exc

    def _mux(self, packets: "list[av.Packet[av.VideoStream]]") -> None:
        assert self._container is not None
        for packet in packets:
            if self._sound is not None and packet.dts is not None:
                # Before the packet: once it is written, its time base may be the container's.
                self._sound.mux_until(self._container, float(packet.dts * packet.time_base))
            self._container.mux(packet)

    def _add_stream(
        self, container: OutputContainer, codec: str, options: dict[str, str]
    ) -> av.video.stream.VideoStream:
        stream = container.add_stream(codec, rate=self._info.average_fps, options=options)
        assert isinstance(stream, av.video.stream.VideoStream)
        (stream.width, stream.height), stream.pix_fmt = self._size, self._format.pix_fmt
        stream.time_base = stream.codec_context.time_base = self._info.time_base
        stream.codec_context.thread_type = "AUTO"
        _tag(stream.codec_context, self._info)
        if self._format.keeps_pixel_shape:
            stream.codec_context.sample_aspect_ratio = self._info.sample_aspect_ratio
        return stream


def _size(format_: VideoFormat, info: VideoInfo) -> tuple[int, int]:
    """Width and height of what is encoded."""
    width, height = info.width_pixels, info.height_pixels
    if not format_.keeps_pixel_shape:
        # Only ever larger, so that nothing of the picture is lost.
        width = round(width * max(info.sample_aspect_ratio, Fraction(1)))
        height = round(height / min(info.sample_aspect_ratio, Fraction(1)))
    if format_.needs_even_size:
        width, height = width + width % 2, height + height % 2
    return width, height


def _tag(tagged: av.VideoFrame | av.video.codeccontext.VideoCodecContext, info: VideoInfo) -> None:
    """Say how the colour is meant, so that no player has to guess.

    Matrix and range are those that `yuv` converts to. Primaries and transfer are the source's,
    because RGB is not converted between them.
    """
    tagged.color_primaries, tagged.color_trc = info.color_primaries, info.color_trc
    tagged.colorspace, tagged.color_range = Colorspace.ITU709, ColorRange.MPEG
