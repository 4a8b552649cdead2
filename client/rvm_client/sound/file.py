"""The reading half of the sound: one track of a stranger's file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Discard, Disposition

from rvm_client.closing import Closing
from rvm_client.decode import open_source, read_packets
from rvm_client.errors import InputError
from rvm_client.machine import check_memory
from rvm_client.sound.packets import Cut, SoundPacket, copied_packets, decoded_pieces

# Packets of one track that are tried before its sound counts as undecodable.
_PROBE_PACKETS = 64


@dataclass(frozen=True)
class SoundInfo:
    """What is known of a track before its packets are read."""

    codec: str
    """FFmpeg's canonical name: a decoder of MP3 may be called mp3float."""
    rate: int
    channels: int
    """Of the first frame; headers may be wrong."""
    picture_end_seconds: float | None
    """When the picture ends by the header, on the file's clock."""
    starts_early: bool = False
    """There are packets before time 0, which are to be decoded and not heard."""


@dataclass(frozen=True)
class _First:
    """The first frame of a track, and the timestamp of its first packet."""

    frame: av.AudioFrame
    pts: int


class SoundSource(Protocol):
    """A track to be copied or decoded, once."""

    info: SoundInfo

    def add_copy(self, container: OutputContainer) -> AudioStream | None:
        """Add a stream for the packets as they are; None: the container cannot have them."""

    def packets(self, cut: Cut) -> Iterator[SoundPacket]:
        """See copied_packets. FFmpeg's errors and ValueError mean: there is no more."""

    def pieces(self, layout: str, rate: int, cut: Cut) -> Iterator[av.AudioFrame]:
        """See decoded_pieces. Errors as in `packets`."""

    def close(self) -> None:
        """Close the file."""


class FileSound(Closing):
    """The default track of a file, else the best one; see SoundSource."""

    def __init__(
        self,
        container: InputContainer,
        stream: AudioStream,
        first: _First,
        warn: Callable[[str], None],
    ) -> None:
        self._container, self.stream, self._warn = container, stream, warn
        self.info = SoundInfo(
            codec=stream.codec_context.codec.canonical_name,
            rate=first.frame.sample_rate,
            channels=first.frame.layout.nb_channels,
            picture_end_seconds=_picture_end_seconds(container),
            starts_early=first.pts < 0,
        )
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all

    @classmethod
    def open(cls, path: Path, warn: Callable[[str], None]) -> FileSound | None:
        """None: there is no sound, or none that can be used; `warn` is told why, now or later."""
        try:
            container = open_source(path)
        except InputError as exc:
            warn(f"the sound is left out: {exc}")
            return None
        stream = _choose_stream(container)
        if stream is not None:
            first = _first(path, stream.index)
            if first is not None:
                return cls(container, stream, first, warn)
            check_memory()
            warn("the sound is left out: it is damaged, or of a kind that cannot be decoded")
        container.close()
        return None

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def add_copy(self, container: OutputContainer) -> AudioStream | None:
        """See SoundSource."""
        try:
            return container.add_stream_from_template(self.stream)
        except (ValueError, av.error.FFmpegError):
            return None

    def packets(self, cut: Cut) -> Iterator[SoundPacket]:
        """See SoundSource."""
        return copied_packets(self._container, self.stream, cut)

    def pieces(self, layout: str, rate: int, cut: Cut) -> Iterator[av.AudioFrame]:
        """See SoundSource."""
        return decoded_pieces(self._container, self.stream, layout, rate, cut, self._warn)


def _choose_stream(
    container: InputContainer,
) -> AudioStream | None:
    tracks = [s for s in container.streams.audio if s.codec_context is not None]
    defaults = [s for s in tracks if s.disposition & Disposition.default]
    best = container.streams.best("audio")
    candidates = defaults or [s for s in tracks if s is best] or tracks
    return candidates[0] if candidates else None


def _first(source: Path, stream_index: int) -> _First | None:
    """What the track's decoder says of it; headers may be wrong."""
    with open_source(source) as container:
        stream = container.streams[stream_index]
        assert isinstance(stream, AudioStream)
        first_pts: int | None = None
        with suppress(av.error.FFmpegError):
            for count, packet in enumerate(read_packets(container, stream)):
                if count > _PROBE_PACKETS:
                    break
                first_pts = packet.pts if first_pts is None else first_pts
                with suppress(av.error.FFmpegError):
                    for frame in packet.decode():
                        return _First(frame, first_pts or 0)
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
