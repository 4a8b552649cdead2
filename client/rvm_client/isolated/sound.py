"""Sound that another process reads and decodes. We write packets of it, and parse none."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer

from rvm_client.closing import Closing
from rvm_client.isolated.memory import Block
from rvm_client.isolated.messages import (
    SOUND_BYTES,
    Failed,
    NextSound,
    NoSound,
    OpenSound,
    SoundEnded,
    SoundOpened,
    SoundRead,
    StartSound,
)
from rvm_client.isolated.process import Conversation, DecoderProcess, printable
from rvm_client.sound import Cut, SoundInfo, SoundPacket, SoundSource

# Samples before the first that is heard, as FFmpeg's encoder and nearly all others have them.
# PyAV cannot say another number to a muxer.
_OPUS_DELAY_SAMPLES = 312
_OPUS_DELAY_AT = slice(10, 12)


def open_isolated_sound(
    process: DecoderProcess, path: Path, warn: Callable[[str], None]
) -> SoundSource | None:
    """As FileSound.open."""
    block = Block(SOUND_BYTES)
    try:
        conversation = process.open(path, OpenSound(path), [block.descriptor])
    finally:
        block.forget_descriptor()
    try:
        opened = conversation.receive(SoundOpened, NoSound, Failed)
        if isinstance(opened, Failed):
            warn(f"the sound is left out: {conversation.failure(opened)}")
        for sentence in opened.remarks:
            warn(printable(sentence))
        if isinstance(opened, SoundOpened):
            return IsolatedSound(conversation, block, opened, warn)
    except BaseException:
        conversation.close()
        raise
    conversation.close()
    return None


class IsolatedSound(Closing):
    """See SoundSource."""

    def __init__(
        self,
        conversation: Conversation,
        block: Block,
        opened: SoundOpened,
        warn: Callable[[str], None],
    ) -> None:
        self._conversation, self._opened, self._warn = conversation, opened, warn
        self._block = block.lend((SOUND_BYTES,))
        self.info = SoundInfo(
            opened.codec,
            opened.rate,
            opened.channels,
            opened.picture_end_seconds,
            opened.starts_early,
        )

    def close(self) -> None:
        """End the reading."""
        self._conversation.close()

    def add_copy(self, container: OutputContainer) -> AudioStream | None:
        """See SoundSource.

        PyAV makes a stream for packets that are there already from another stream only, whose
        codec it does not open. Here that is one without packets, and what differs is set.
        """
        opened = self._opened
        extradata = bytes.fromhex(opened.extradata_hex)
        if opened.stored_rate == 0 or not _is_sayable(opened, extradata):
            return None
        try:
            with av.open(io.BytesIO(), "w", format=container.format.name) as empty:
                template = empty.add_stream(opened.codec, rate=opened.stored_rate)
                if opened.codec == "opus":
                    # Only then it has the delay.
                    empty.start_encoding()
                stream = container.add_stream_from_template(template)
            assert isinstance(stream, AudioStream)
            context = stream.codec_context
            context.sample_rate, context.layout = opened.stored_rate, opened.stored_layout
            if opened.stored_format is not None:
                context.format = opened.stored_format
            context.bit_rate = opened.bits_per_second
            context.extradata = extradata or None
            stream.time_base = context.time_base = Fraction(1, opened.stored_rate)
        except (ValueError, av.error.FFmpegError):
            return None
        return stream

    def packets(self, cut: Cut) -> Iterator[SoundPacket]:
        """See SoundSource."""
        for part in self._parts(None, cut):
            packet = av.Packet(self._block[: part.size_bytes].tobytes())
            packet.pts = packet.dts = part.pts
            packet.duration = part.duration
            packet.time_base = Fraction(1, self._opened.stored_rate)
            packet.is_keyframe = True
            yield cast("SoundPacket", packet)

    def pieces(self, layout: str, rate: int, cut: Cut) -> Iterator[av.AudioFrame]:
        """See SoundSource."""
        channels = av.AudioLayout(layout).nb_channels
        for part in self._parts((layout, rate), cut):
            samples = part.duration
            if samples < 1 or part.size_bytes != 4 * channels * samples:
                raise self._conversation.nonsense()
            values = self._block[: part.size_bytes].view(np.float32).reshape(channels, samples)
            piece = av.AudioFrame.from_ndarray(values.copy(), format="fltp", layout=layout)
            piece.sample_rate = rate
            piece.pts, piece.time_base = part.pts, Fraction(1, rate)
            yield piece

    def _parts(self, decoded: tuple[str, int] | None, cut: Cut) -> Iterator[SoundRead]:
        origin_seconds = cut.origin_seconds if cut.has_start else None
        self._conversation.send(StartSound(origin_seconds, decoded))
        while True:
            self._conversation.send(NextSound(cut.end_seconds))
            part = self._conversation.receive(SoundRead, SoundEnded, Failed)
            if isinstance(part, Failed):
                raise ValueError(str(self._conversation.failure(part)))
            for sentence in part.remarks:
                self._warn(printable(sentence))
            if not isinstance(part, SoundRead):
                return
            yield part


def _is_sayable(opened: SoundOpened, extradata: bytes) -> bool:
    """Whether the muxer can know of the samples that are not to be heard."""
    if opened.codec == "opus":
        delay_samples = int.from_bytes(extradata[_OPUS_DELAY_AT], "little")
        return delay_samples == _OPUS_DELAY_SAMPLES
    return opened.codec != "vorbis" or not opened.starts_early
