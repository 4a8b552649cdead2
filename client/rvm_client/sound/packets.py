"""Packets of a sound track for the muxer, made lazily: copied as they are, or transcoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import InputContainer

from rvm_client.decode import JoinedClock, read_packets

SoundPacket: TypeAlias = "av.Packet[AudioStream]"

# A codec that overlaps its packets needs those before the first one that is heard.
_PRE_ROLL_PACKETS = 2
# Samples that are cut or encoded at a time.
_PIECE_SAMPLES = 1024
# A gap or an overlap beyond this is filled with silence or cut; below it is the rounding of
# timestamps. A frame at 60 fps lasts 16.7 ms.
_TIMESTAMP_TOLERANCE_SECONDS = 0.01
# A gap beyond this stays one in the timestamps: silence costs memory, and damaged timestamps
# may name any time.
_MAX_SILENCE_SECONDS = 10


class Cut:
    """The part of the source that is kept. Its end may become known on the way."""

    def __init__(self, origin_seconds: float | None, end_seconds: float | None) -> None:
        self.has_start = origin_seconds is not None
        self.origin_seconds = origin_seconds or 0.0
        """What is taken from the source's time to make the output's."""
        self.end_seconds = float("inf") if end_seconds is None else end_seconds
        """On the output's clock."""

    def end_at_most(self, seconds: float) -> None:
        """End earlier, if this is earlier."""
        self.end_seconds = min(self.end_seconds, seconds)

    def samples(self, rate: int) -> tuple[int, float]:
        """The first sample to keep, and the first one beyond the end."""
        first = 0 if self.has_start else -(1 << 62)
        has_end = self.end_seconds != float("inf")
        return first, round(self.end_seconds * rate) if has_end else float("inf")


def copied_packets(source: InputContainer, stream: AudioStream, cut: Cut) -> Iterator[SoundPacket]:
    """The payloads as they are, at the times of the source, in samples.

    Packets that reach the decoder before the first kept sample get times below 0.
    """
    clock = _SampleClock(stream)
    origin_samples = round(cut.origin_seconds * clock.rate)
    last = None
    for packet in read_packets(source, stream):
        if packet.pts is None and packet.dts is None:
            continue  # the empty packet at the end
        duration = clock.duration_samples(packet)
        pts = clock.pts_samples(packet) - origin_samples
        if pts >= cut.end_seconds * clock.rate:
            return
        is_unwanted = cut.has_start or packet.is_discard
        is_early = pts < -_PRE_ROLL_PACKETS * duration
        if (is_early and is_unwanted) or (last is not None and pts <= last):
            continue
        packet.time_base = Fraction(1, clock.rate)
        packet.pts = packet.dts = last = pts
        packet.duration = duration
        yield packet


class _SampleClock:
    """Timestamps in samples, also where the source rounds them to milliseconds."""

    def __init__(self, stream: AudioStream) -> None:
        assert stream.time_base is not None
        self.rate = stream.codec_context.sample_rate
        self._frame_samples = stream.codec_context.frame_size
        self._tick_samples = stream.time_base * self.rate
        self._clock = JoinedClock(self.rate, 0)
        self._expected: int | None = None

    def duration_samples(self, packet: SoundPacket) -> int:
        if self._tick_samples > 1 and self._frame_samples:
            return self._frame_samples
        return round((packet.duration or 0) * self._tick_samples) or self._frame_samples

    def pts_samples(self, packet: SoundPacket) -> int:
        pts = packet.dts if packet.pts is None else packet.pts
        assert pts is not None
        own = round(pts * self._tick_samples)
        samples = own if self._expected is None else self._following(own, self._expected)
        self._expected = samples + self.duration_samples(packet)
        return samples

    def _following(self, own_samples: int, expected: int) -> int:
        samples = self._clock.read(own_samples, after=expected, resume=expected)
        return expected if abs(samples - expected) <= self._tick_samples else samples


def decoded_pieces(
    source: InputContainer,
    stream: AudioStream,
    layout: str,
    rate: int,
    cut: Cut,
    warn: Callable[[str], None],
) -> Iterator[av.AudioFrame]:
    """Decoded, brought to an encoder's channels and rate as planes of floats, cut to the sample."""
    target = _Target(layout, rate)
    frames = _on_one_clock(_decoded(source, stream, warn))
    return _cut_pieces(_resampled(frames, target, cut.origin_seconds), cut)


def encoded_packets(pieces: Iterator[av.AudioFrame], target: AudioStream) -> Iterator[SoundPacket]:
    """The pieces, encoded."""
    for piece in pieces:
        yield from target.encode(piece)
    yield from target.encode(None)


@dataclass(frozen=True)
class _Target:
    layout: str
    rate: int


def _decoded(
    source: InputContainer, stream: AudioStream, warn: Callable[[str], None]
) -> Iterator[av.AudioFrame]:
    """All frames that can be decoded."""
    damaged = 0
    for packet in read_packets(source, stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
    if damaged:
        warn(f"{damaged} packets of the sound are damaged; there is silence in their place")


def _on_one_clock(frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """With timestamps in samples; a clock that starts again goes on where it was."""
    clock, expected = JoinedClock(1, Fraction(0)), Fraction(-1 << 62)
    for frame in frames:
        if frame.pts is None or frame.time_base is None:
            seconds = max(expected, Fraction(0))
        else:
            own = frame.pts * frame.time_base
            seconds = clock.read(own, after=expected, resume=expected)
        frame.pts, frame.time_base = (
            round(seconds * frame.sample_rate),
            Fraction(1, frame.sample_rate),
        )
        expected = seconds + Fraction(frame.samples, frame.sample_rate)
        yield frame


def _resampled(
    frames: Iterator[av.AudioFrame], target: _Target, origin_seconds: float
) -> Iterator[av.AudioFrame]:
    """At the target's rate and channels, without short gaps, on the output's clock."""
    resampler: av.AudioResampler | None = None
    kind, expected = ("", "", 0), 0
    for frame in frames:
        last_kind, kind = kind, (frame.format.name, frame.layout.name, frame.sample_rate)
        rate, start = frame.sample_rate, _start_sample(frame)
        if resampler is not None and (
            kind != last_kind or start - expected > _MAX_SILENCE_SECONDS * rate
        ):
            yield from resampler.resample(None)
            resampler = None
        expected = start + frame.samples
        frame.pts = start - round(origin_seconds * rate)
        resampler = resampler or _resampler(target)
        yield from resampler.resample(frame)
    if resampler is not None:
        yield from resampler.resample(None)


def _resampler(target: _Target) -> av.AudioResampler:
    return av.AudioResampler(
        format="fltp",
        layout=target.layout,
        rate=target.rate,
        # aresample: 1 is to fill and to cut where timestamps say so, and never to stretch.
        options={"async": "1", "min_hard_comp": str(_TIMESTAMP_TOLERANCE_SECONDS)},
    )


def _cut_pieces(frames: Iterator[av.AudioFrame], cut: Cut) -> Iterator[av.AudioFrame]:
    """Short frames of what lies inside the cut, whose end is looked up for each of them."""
    for frame in frames:
        rate, start = frame.sample_rate, _start_sample(frame)
        samples = frame.to_ndarray().astype(np.float32, copy=False)
        for offset in range(0, frame.samples, _PIECE_SAMPLES):
            first, end = cut.samples(rate)
            low = max(offset, first - start)
            high = int(min(offset + _PIECE_SAMPLES, frame.samples, end - start))
            if low < high:
                yield _frame(samples[:, low:high], frame, start + low)
            if start + offset >= end:
                return


def _start_sample(frame: av.AudioFrame) -> int:
    assert frame.pts is not None
    assert frame.time_base is not None
    return round(frame.pts * frame.time_base * frame.sample_rate)


def _frame(samples: npt.NDArray[np.float32], like: av.AudioFrame, pts: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(samples), format=like.format.name, layout=like.layout.name
    )
    frame.sample_rate = like.sample_rate
    frame.pts, frame.time_base = pts, Fraction(1, like.sample_rate)
    return frame
