"""The sound of the source, on its way into the output beside the picture.

Copied packet by packet where the container takes the codec, else transcoded. Sound is never a
reason to fail: what cannot be used is left out, and a warning says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Discard, Disposition

from rvm_client.closing import Closing
from rvm_client.decode import open_source, read_packets
from rvm_client.errors import InputError
from rvm_client.machine import check_memory
from rvm_client.sound.packets import Cut, SoundPacket, copied_packets, transcoded_packets

# Packets of one track that are tried before its sound counts as undecodable.
_PROBE_PACKETS = 64


@dataclass(frozen=True)
class _Carrier:
    """What one container does with sound."""

    copied_codecs: frozenset[str]
    encoder: str
    """For every other codec."""
    sample_format: str
    bits_per_second_per_channel: int
    can_start_within_packets: bool
    """Packets before time 0 are decoded and not played: an edit list says so."""


_PCM = ("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le")
_CARRIERS = {
    # What browsers play in MP4. They play no AC-3 and no ALAC.
    "mp4": _Carrier(frozenset({"aac", "mp3"}), "aac", "fltp", 96_000, True),
    # What editors take in MOV.
    "mov": _Carrier(frozenset({"aac", "mp3", "alac", *_PCM}), "aac", "fltp", 96_000, True),
    "webm": _Carrier(frozenset({"opus", "vorbis"}), "libopus", "flt", 64_000, False),
}

# Channels that both encoders and all players know; anything else is mixed down to stereo.
_CHANNELS = {1: "mono", 2: "stereo", 6: "5.1"}
_PREFERRED_RATE = 48_000


class SoundTrack(Closing):
    """The sound of one source; a context manager. Used by one thread, the one that muxes.

    In this order: `add_to` the output, `mux_until` before each packet of the picture, `finish`.
    """

    def __init__(
        self,
        source: InputContainer,
        stream: AudioStream,
        first_frame: av.AudioFrame,
        carrier: _Carrier,
        cut: Cut,
        warn: Callable[[str], None],
    ) -> None:
        self._source, self._stream, self._first_frame = source, stream, first_frame
        self._carrier, self._cut, self._warn = carrier, cut, warn
        self._picture_end_seconds = _picture_end_seconds(source)
        self._packets: Iterator[SoundPacket] = iter(())
        self._next: SoundPacket | None = None

    @classmethod
    def open(
        cls,
        source: Path,
        container_format: str,
        *,
        warn: Callable[[str], None],
        origin_seconds: float | None = None,
        end_seconds: float | None = None,
    ) -> SoundTrack | None:
        """The default track of `source`, else the best one; None: there is nothing to carry.

        Args:
            source: a media file.
            container_format: FFmpeg's name of the output's container.
            warn: is told in a sentence what is lost, now or later.
            origin_seconds: the time on the source's clock that becomes 0; what lies before is
                cut. None: the output has the source's clock, and nothing is cut.
            end_seconds: where the sound ends on the output's clock; None: with the picture.
        """
        carrier = _CARRIERS.get(container_format)
        if carrier is None:
            return None
        try:
            container = open_source(source)
        except InputError as exc:
            warn(f"the sound is left out: {exc}")
            return None
        stream = _choose_stream(container)
        if stream is not None:
            first_frame = _first_frame(source, stream.index)
            if first_frame is not None:
                cut = Cut(origin_seconds, end_seconds)
                return cls(container, stream, first_frame, carrier, cut, warn)
            check_memory()
            warn("the sound is left out: it is damaged, or of a kind that cannot be decoded")
        container.close()
        return None

    def close(self) -> None:
        """Close the source."""
        self._packets, self._next = iter(()), None
        self._source.close()

    def add_to(self, container: OutputContainer) -> None:
        """Add the stream for the sound. All streams must be there before the first packet."""
        for stream in self._source.streams:
            if stream.index != self._stream.index:
                stream.discard = Discard.all
        packets = self._copy_into(container) if self._may_copy() else None
        self._packets = self._survivable(packets or self._transcode_into(container))

    def mux_until(self, container: OutputContainer, seconds: float) -> None:
        """Mux what starts up to `seconds` of the output's clock."""
        while (packet := self._peek()) is not None and _start_seconds(packet) <= seconds:
            self._next = None
            self._mux(container, packet)

    def finish(self, container: OutputContainer, picture_end_seconds: float) -> None:
        """Mux the rest, up to the end of the picture in seconds of the output's clock."""
        if self._picture_end_seconds is not None:
            header_end_seconds = self._picture_end_seconds - self._cut.origin_seconds
            picture_end_seconds = max(picture_end_seconds, header_end_seconds)
        self._cut.end_at_most(picture_end_seconds)
        while (packet := self._peek()) is not None:
            self._next = None
            if _start_seconds(packet) < picture_end_seconds:
                self._mux(container, packet)

    def _may_copy(self) -> bool:
        starts_anywhere = self._carrier.can_start_within_packets or not self._cut.has_start
        return starts_anywhere and _codec(self._stream) in self._carrier.copied_codecs

    def _copy_into(self, container: OutputContainer) -> Iterator[SoundPacket] | None:
        try:
            target = container.add_stream_from_template(self._stream)
        except (ValueError, av.error.FFmpegError):
            return None
        return copied_packets(self._source, self._stream, target, self._cut)

    def _transcode_into(self, container: OutputContainer) -> Iterator[SoundPacket]:
        target = container.add_stream(self._carrier.encoder, rate=self._output_rate())
        assert isinstance(target, AudioStream)
        channels = self._first_frame.layout.nb_channels
        target.codec_context.layout = _CHANNELS.get(channels, "stereo")
        target.codec_context.format = self._carrier.sample_format
        per_channel = self._carrier.bits_per_second_per_channel
        target.codec_context.bit_rate = per_channel * target.codec_context.layout.nb_channels
        return transcoded_packets(self._source, self._stream, target, self._cut, self._warn)

    def _output_rate(self) -> int:
        """The source's own rate where the encoder knows it; Opus is coded at 48 kHz."""
        own = self._first_frame.sample_rate
        rates = av.Codec(self._carrier.encoder, "w").audio_rates or []
        is_kept = self._carrier.encoder == "aac" and own in rates
        return own if is_kept else _PREFERRED_RATE

    def _survivable(self, packets: Iterator[SoundPacket]) -> Iterator[SoundPacket]:
        """`packets`, up to where the source or the codecs give up."""
        try:
            yield from packets
        except (av.error.FFmpegError, ValueError) as exc:
            check_memory()
            self._give_up(exc)

    def _mux(self, container: OutputContainer, packet: SoundPacket) -> None:
        try:
            container.mux(packet)
        except av.error.InvalidDataError as exc:
            # The muxer looked into the packet. A disk that fails is another error.
            self._packets = iter(())
            self._give_up(exc)

    def _give_up(self, exc: Exception) -> None:
        reason = getattr(exc, "strerror", None) or str(exc)
        self._warn(f"the sound ends early: its next part is damaged ({reason})")

    def _peek(self) -> SoundPacket | None:
        if self._next is None:
            self._next = next(self._packets, None)
        return self._next


def _codec(stream: AudioStream) -> str:
    # The canonical name: a decoder of MP3 may be called mp3float.
    return stream.codec_context.codec.canonical_name


def _start_seconds(packet: SoundPacket) -> float:
    assert packet.pts is not None
    return float(packet.pts * packet.time_base)


def _choose_stream(
    container: InputContainer,
) -> AudioStream | None:
    tracks = [s for s in container.streams.audio if s.codec_context is not None]
    defaults = [s for s in tracks if s.disposition & Disposition.default]
    best = container.streams.best("audio")
    candidates = defaults or [s for s in tracks if s is best] or tracks
    return candidates[0] if candidates else None


def _first_frame(source: Path, stream_index: int) -> av.AudioFrame | None:
    """What the track's decoder says of it; headers may be wrong."""
    with open_source(source) as container:
        stream = container.streams[stream_index]
        assert isinstance(stream, AudioStream)
        with suppress(av.error.FFmpegError):
            for count, packet in enumerate(read_packets(container, stream)):
                if count > _PROBE_PACKETS:
                    break
                with suppress(av.error.FFmpegError):
                    for frame in packet.decode():
                        return frame
    return None


def _picture_end_seconds(container: InputContainer) -> float | None:
    """When the picture ends by the header: a last frame may stand for long."""
    video = container.streams.best("video")
    if video is None or video.time_base is None:
        return None
    start_seconds = float((video.start_time or 0) * video.time_base)
    if video.duration is not None:
        return start_seconds + float(video.duration * video.time_base)
    # Matroska has it as a tag, counted from time 0.
    try:
        hours, minutes, seconds = map(float, video.metadata["DURATION"].split(":"))
    except (KeyError, ValueError):
        return None
    end_seconds = hours * 3600 + minutes * 60 + seconds
    return end_seconds if math.isfinite(end_seconds) else None
