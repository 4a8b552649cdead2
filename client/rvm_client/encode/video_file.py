"""One video file: a container, an encoder, the tags of colour and shape."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Protocol

import av
import av.error
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace

from rvm_client.encode.alpha_layer import AlphaLayerEncoder, VideoPacket, layer_options
from rvm_client.encode.file import OutputFile
from rvm_client.encode.formats import HardwareEncoder, VideoFormat
from rvm_client.encode.segments import SegmentEncoder, frame_bytes, plan_segments
from rvm_client.errors import HardwareEncoderError, LayersDifferError
from rvm_client.frames import Picture, VideoInfo
from rvm_client.machine import Hardware, available_cores, meaning, say_once
from rvm_client.options import MatteOptions

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

    Where `hardware` has an NVIDIA GPU, its encoder is tried first. In software, where one encoder
    cannot use all cores, several encode segments side by side.

    Raises:
        HardwareEncoderError: the GPU's encoder gave up on the way.
    """

    def __init__(
        self,
        path: Path,
        format_: VideoFormat,
        make_frame: FrameMaker,
        info: VideoInfo,
        options: MatteOptions,
        hardware: Hardware,
        sound: Sound | None = None,
        jobs_at_once: int = 1,
    ) -> None:
        super().__init__(path)
        self._format = format_
        self._make_frame = make_frame
        self._info = info
        self._options = options
        self._hardware = hardware
        self._size = _size(format_, info)
        self._sound = sound
        self._jobs_at_once = jobs_at_once
        self._end_pts = 0
        self._encode_frame: Callable[[av.VideoFrame | None], list[VideoPacket]]
        self._segments: SegmentEncoder | None = None
        self._container: OutputContainer | None = None

    def _open(self) -> None:
        if not self._begins_on_gpu():
            self._begin(self._format)
            self._segments = self._segment_encoder()
        if self._sound is not None:
            assert self._container is not None
            self._sound.add_to(self._container)

    def _begins_on_gpu(self) -> bool:
        encoder = self._format.hardware
        if encoder is None or not self._hardware.has_gpu:
            return False
        if encoder.codec not in av.codecs_available:
            return False
        try:
            self._begin(encoder)
            # FFmpeg would open it with the first frame, too late for another one.
            self._stream.codec_context.open(strict=False)
        except (av.error.FFmpegError, LayersDifferError) as exc:
            say_once(
                f"A video is encoded by {self._format.codec} and not by {encoder.codec}: "
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
        if self._format.has_alpha_layer:
            layers = layer_options(options, encoder.crf_option)
            self._encode_frame = self._begin_layers(encoder.codec, *layers)
        else:
            self._stream = self._add_stream(self._container, encoder.codec, options)
            self._encode_frame = self._stream.encode

    def _begin_layers(
        self, codec: str, options: dict[str, str], alpha_options: dict[str, str]
    ) -> Callable[[av.VideoFrame | None], list[VideoPacket]]:
        """The stream's encoder, and another one for its alpha."""
        assert self._container is not None
        self._stream = self._add_stream(self._container, codec, options)
        alpha = self._new_context(codec, alpha_options)
        alpha.flags |= Flags.global_header
        return AlphaLayerEncoder(self._stream.codec_context, alpha).encode

    def _segment_encoder(self) -> SegmentEncoder | None:
        """Several encoders, the stream's own one first; None: that one is enough."""
        cores_per_encoder = self._format.cores_per_encoder
        # What is left of a bit rate is known only to the encoder that spent the rest of it.
        if cores_per_encoder is None or self._options.bitrate_bits_per_second is not None:
            return None
        waiting_bytes = frame_bytes(self._format.pix_fmt, *self._size)
        plan = plan_segments(
            available_cores(), cores_per_encoder, waiting_bytes, self._jobs_at_once
        )
        if plan.encoders == 1:
            return None
        contexts = [self._stream.codec_context]
        options = self._format.options_for(self._options)
        contexts += [
            self._new_context(self._format.codec, options) for _ in range(plan.encoders - 1)
        ]
        for context in contexts:
            context.thread_count = plan.threads_per_encoder
        return SegmentEncoder(contexts, plan)

    def _new_context(self, codec: str, options: dict[str, str]) -> VideoCodecContext:
        """An encoder as the stream's own one."""
        context = av.CodecContext.create(codec, "w")
        assert isinstance(context, VideoCodecContext)
        context.options = options
        context.bit_rate, context.framerate = 0, self._info.average_fps
        self._set_up(context)
        return context

    def _write(self, picture: Picture) -> None:
        self._end_pts = picture.pts + round(1 / (self._info.average_fps * self._info.time_base))
        if self._segments is None:
            self._mux(self._encode(self._frame(picture)))
            return
        # The frame is made later.
        self._mux(self._segments.encode(partial(self._frame, picture.kept())))

    def _frame(self, picture: Picture) -> av.VideoFrame:
        frame = self._make_frame(picture)
        if (frame.width, frame.height) != self._size:
            width, height = self._size
            frame = frame.reformat(width, height, interpolation="BICUBIC")
        frame.pts, frame.time_base = picture.pts, self._info.time_base
        _tag(frame, self._info)
        return frame

    def _finish(self) -> None:
        assert self._container is not None
        self._mux(self._last_packets())
        if self._sound is not None:
            self._sound.finish(self._container, float(self._end_pts * self._info.time_base))
        self._container.close()

    def _last_packets(self) -> "Iterable[av.Packet[av.VideoStream]]":
        return self._encode(None) if self._segments is None else self._segments.finish()

    def _close(self) -> None:
        if self._segments is not None:
            self._segments.close()
        if self._container is not None:
            self._container.close()

    def _encode(self, frame: av.VideoFrame | None) -> list[VideoPacket]:
        try:
            return self._encode_frame(frame)
        except (av.error.FFmpegError, LayersDifferError) as exc:
            if self.encoder == self._format.codec:
                raise
            # Without the file's name: the same cause is said once for all files.
            raise HardwareEncoderError(f"{self.encoder} failed: {meaning(exc)}") from exc

    def _mux(self, packets: Iterable[VideoPacket]) -> None:
        assert self._container is not None
        for packet in packets:
            packet.stream = self._stream
            if self._sound is not None and packet.dts is not None:
                # Before the packet: once it is written, its time base may be the container's.
                self._sound.mux_until(self._container, float(packet.dts * packet.time_base))
            self._container.mux(packet)

    def _add_stream(
        self, container: OutputContainer, codec: str, options: dict[str, str]
    ) -> av.video.stream.VideoStream:
        stream = container.add_stream(codec, rate=self._info.average_fps, options=options)
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.time_base = self._info.time_base
        self._set_up(stream.codec_context)
        return stream

    def _set_up(self, context: VideoCodecContext) -> None:
        context.width, context.height = self._size
        context.pix_fmt = self._format.encoded_pix_fmt
        if self._format.codec_tag is not None:
            context.codec_tag = self._format.codec_tag
        context.time_base = self._info.time_base
        context.thread_type = "AUTO"
        _tag(context, self._info)
        if self._format.keeps_pixel_shape:
            context.sample_aspect_ratio = self._info.sample_aspect_ratio


def _size(format_: VideoFormat, info: VideoInfo) -> tuple[int, int]:
    """Width and height of what is encoded."""
    width, height = info.width_pixels, info.height_pixels
    if not format_.keeps_pixel_shape:
        # Only ever larger, so that nothing of the picture is lost.
        width = round(width * max(info.sample_aspect_ratio, Fraction(1)))
        height = round(height / min(info.sample_aspect_ratio, Fraction(1)))
    if format_.needs_even_size:
        width, height = width + width % 2, height + height % 2
    return width, height * (2 if format_.is_stacked else 1)


def _tag(tagged: av.VideoFrame | av.video.codeccontext.VideoCodecContext, info: VideoInfo) -> None:
    """Say how the colour is meant, so that no player has to guess.

    Matrix and range are those that `yuv` converts to. Primaries and transfer are the source's,
    because RGB is not converted between them.
    """
    tagged.color_primaries, tagged.color_trc = info.color_primaries, info.color_trc
    tagged.colorspace, tagged.color_range = Colorspace.ITU709, ColorRange.MPEG
