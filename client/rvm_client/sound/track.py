"""The sound of the source, on its way into the output beside the picture.

Copied packet by packet where the container takes the codec, else transcoded. Sound is never a
reason to fail: what cannot be used is left out, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer

from rvm_client.closing import Closing
from rvm_client.machine import check_memory
from rvm_client.sound.file import FileSound, SoundSource
from rvm_client.sound.packets import Cut, SoundPacket, encoded_packets

OpenSound = Callable[[Path, Callable[[str], None]], SoundSource | None]
"""What FileSound.open does."""


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
        source: SoundSource,
        carrier: _Carrier,
        cut: Cut,
        warn: Callable[[str], None],
    ) -> None:
        self._source = source
        self._carrier, self._cut, self._warn = carrier, cut, warn
        self._packets: Iterator[SoundPacket] = iter(())
        self._next: SoundPacket | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        container_format: str,
        *,
        warn: Callable[[str], None],
        origin_seconds: float | None = None,
        end_seconds: float | None = None,
        open_sound: OpenSound = FileSound.open,
    ) -> SoundTrack | None:
        """The sound of a file; None: there is nothing to carry.

        Args:
            path: a media file.
            container_format: FFmpeg's name of the output's container.
            warn: is told in a sentence what is lost, now or later.
            origin_seconds: the time on the source's clock that becomes 0; what lies before is
                cut. None: the output has the source's clock, and nothing is cut.
            end_seconds: where the sound ends on the output's clock; None: with the picture.
            open_sound: opens the file.
        """
        carrier = _CARRIERS.get(container_format)
        if carrier is None:
            return None
        source = open_sound(path, warn)
        if source is None:
            return None
        return cls(source, carrier, Cut(origin_seconds, end_seconds), warn)

    def close(self) -> None:
        """Close the source."""
        self._packets, self._next = iter(()), None
        self._source.close()

    def add_to(self, container: OutputContainer) -> None:
        """Add the stream for the sound. All streams must be there before the first packet."""
        packets = self._copy_into(container) if self._may_copy() else None
        self._packets = self._survivable(packets or self._transcode_into(container))

    def mux_until(self, container: OutputContainer, seconds: float) -> None:
        """Mux what starts up to `seconds` of the output's clock."""
        while (packet := self._peek()) is not None and _start_seconds(packet) <= seconds:
            self._next = None
            self._mux(container, packet)

    def finish(self, container: OutputContainer, picture_end_seconds: float) -> None:
        """Mux the rest, up to the end of the picture in seconds of the output's clock."""
        if self._source.info.picture_end_seconds is not None:
            header_end_seconds = self._source.info.picture_end_seconds - self._cut.origin_seconds
            picture_end_seconds = max(picture_end_seconds, header_end_seconds)
        self._cut.end_at_most(picture_end_seconds)
        while (packet := self._peek()) is not None:
            self._next = None
            if _start_seconds(packet) < picture_end_seconds:
                self._mux(container, packet)

    def _may_copy(self) -> bool:
        starts_anywhere = self._carrier.can_start_within_packets or not self._cut.has_start
        return starts_anywhere and self._source.info.codec in self._carrier.copied_codecs

    def _copy_into(self, container: OutputContainer) -> Iterator[SoundPacket] | None:
        target = self._source.add_copy(container)
        return None if target is None else _sent_to(target, self._source.packets(self._cut))

    def _transcode_into(self, container: OutputContainer) -> Iterator[SoundPacket]:
        target = container.add_stream(self._carrier.encoder, rate=self._output_rate())
        assert isinstance(target, AudioStream)
        encoder = target.codec_context
        encoder.layout = _CHANNELS.get(self._source.info.channels, "stereo")
        encoder.format = self._carrier.sample_format
        per_channel = self._carrier.bits_per_second_per_channel
        encoder.bit_rate = per_channel * encoder.layout.nb_channels
        pieces = self._source.pieces(encoder.layout.name, encoder.sample_rate, self._cut)
        return encoded_packets(pieces, target)

    def _output_rate(self) -> int:
        """The source's own rate where the encoder knows it; Opus is coded at 48 kHz."""
        own = self._source.info.rate
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


def _start_seconds(packet: SoundPacket) -> float:
    assert packet.pts is not None
    return float(packet.pts * packet.time_base)


def _sent_to(target: AudioStream, packets: Iterator[SoundPacket]) -> Iterator[SoundPacket]:
    for packet in packets:
        packet.stream = target
        yield packet
