"""What the decoding process does with each request."""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

import av
import av.error
import numpy as np

from rvm_client.backdrop import Fit, read_picture
from rvm_client.decode import VideoReader
from rvm_client.errors import InputError
from rvm_client.frames import Role
from rvm_client.isolated.channel import ClosedError, DecoderEnd
from rvm_client.isolated.memory import mapped
from rvm_client.isolated.messages import (
    SOUND_BYTES,
    ChunkFilled,
    DropBlock,
    Failed,
    FillBlock,
    NextSound,
    NoSound,
    OpenSound,
    OpenVideo,
    PictureRead,
    ReadPicture,
    Request,
    SoundEnded,
    SoundOpened,
    SoundRead,
    StartChunks,
    StartSound,
    VideoEnded,
    described,
    finite,
)
from rvm_client.pixels import UInt8Array
from rvm_client.sound import Cut, FileSound, SoundPacket

_SoundPart = tuple[UInt8Array, int, int]
"""Bytes, timestamp and duration of a packet, or of a piece in float samples."""

_log_lines = deque[str](maxlen=8)


class _KeepLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _log_lines.append(record.getMessage()[:1000])


def keep_log_lines() -> None:
    """Keep what is logged for the next reply: there is nothing else that it could be written to."""
    logging.getLogger("rvm_client").addHandler(_KeepLines())


def _taken(lines: deque[str]) -> tuple[str, ...]:
    return tuple(lines.popleft() for _ in range(len(lines)))


def serve(worker: DecoderEnd, request: Request, blocks: list[int]) -> None:
    """Do what one connection is for, up to its end. Raises nothing.

    Args:
        worker: the connection.
        request: what is to be opened.
        blocks: descriptors of the memory that came along.
    """
    try:
        _answer(worker, request, [mapped(block) for block in blocks])
    except ClosedError:
        pass
    except Exception as exc:
        with suppress(ClosedError):
            worker.send(_failure(exc))
    finally:
        worker.close()


def _failure(exc: Exception) -> Failed:
    if isinstance(exc, InputError):
        return Failed(cause="input", text=str(exc)[:2000])
    if isinstance(exc, MemoryError):
        return Failed(cause="memory", text="")
    return Failed(cause="internal", text=type(exc).__name__)


def _answer(worker: DecoderEnd, request: Request, blocks: list[UInt8Array]) -> None:
    match request:
        case OpenVideo():
            _send_video(worker, request)
        case ReadPicture():
            _send_picture(worker, request, blocks[0])
        case OpenSound():
            _send_sound(worker, request, blocks[0])


def _send_video(worker: DecoderEnd, request: OpenVideo) -> None:
    with VideoReader(
        request.path,
        request.options,
        request.limits,
        keeps_alpha=request.keeps_alpha,
        takes_planes=request.takes_planes,
    ) as reader:
        worker.send(described(reader.info, reader.decoder, reader.damaged_packets))
        start, _ = worker.receive()
        assert isinstance(start, StartChunks)
        for pts, role in _filled(reader, start, _Blocks(worker).next):
            worker.send(
                ChunkFilled(
                    remarks=_taken(_log_lines),
                    decoder=reader.decoder,
                    damaged_packets=reader.damaged_packets,
                    pts=pts,
                    role=role,
                )
            )
        worker.send(
            VideoEnded(
                remarks=_taken(_log_lines),
                decoder=reader.decoder,
                damaged_packets=reader.damaged_packets,
            )
        )


class _Blocks:
    """The memory that the worker names for the chunks, one after the other."""

    def __init__(self, worker: DecoderEnd) -> None:
        self._worker = worker
        self._known: dict[int, UInt8Array] = {}

    def next(self, shape: tuple[int, ...]) -> UInt8Array:
        """That for the next chunk."""
        while True:
            request, descriptors = self._worker.receive()
            if isinstance(request, DropBlock):
                del self._known[request.number]
                continue
            assert isinstance(request, FillBlock)
            for descriptor in descriptors:
                self._known[request.number] = mapped(descriptor)
            return self._known[request.number][: math.prod(shape)].reshape(shape)


def _filled(
    reader: VideoReader, start: StartChunks, new_chunk: Callable[[tuple[int, ...]], UInt8Array]
) -> Iterator[tuple[tuple[int, ...], Role]]:
    """The timestamps and the role of each chunk, whose frames are where they were wanted."""
    if start.frames_per_chunk is not None:
        for chunk in reader.chunks(start.frames_per_chunk, new_chunk):
            yield chunk.pts, chunk.role
        return
    for matte in reader.mattes():
        picture = new_chunk((*matte.pha.shape, 4))
        picture[..., :3], picture[..., 3] = matte.fgr, matte.pha
        yield matte.pts, Role.FRAMES


def _send_picture(worker: DecoderEnd, request: ReadPicture, block: UInt8Array) -> None:
    fit = Fit(request.width_pixels, request.height_pixels, request.stretch)
    picture = read_picture(request.path, fit)
    if picture is not None:
        block[:] = picture.reshape(-1)
    worker.send(PictureRead(is_image=picture is not None))


def _send_sound(worker: DecoderEnd, request: OpenSound, block: UInt8Array) -> None:
    warnings = deque[str]()
    sound = FileSound.open(request.path, warnings.append)
    if sound is None:
        worker.send(NoSound(remarks=_taken(warnings)))
        return
    with sound:
        worker.send(_sound_opened(sound))
        start, _ = worker.receive()
        assert isinstance(start, StartSound)
        cut = Cut(start.origin_seconds, None)
        parts = _sound_parts(sound, start, cut)
        while True:
            wanted, _ = worker.receive()
            assert isinstance(wanted, NextSound)
            cut.end_at_most(wanted.end_seconds)
            reply = _next_sound(parts, block, warnings)
            worker.send(reply)
            if not isinstance(reply, SoundRead):
                return


def _next_sound(
    parts: Iterator[_SoundPart], block: UInt8Array, warnings: deque[str]
) -> SoundRead | SoundEnded | Failed:
    try:
        part = next(parts, None)
    except (av.error.FFmpegError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        return Failed(cause="sound", text=reason[:200])
    if part is None:
        return SoundEnded(remarks=_taken(warnings))
    payload, pts, duration = part
    block[: len(payload)] = payload
    size_bytes = len(payload)
    return SoundRead(remarks=_taken(warnings), size_bytes=size_bytes, pts=pts, duration=duration)


def _sound_opened(sound: FileSound) -> SoundOpened:
    info, stored = sound.info, sound.stream.codec_context
    return SoundOpened(
        codec=info.codec,
        rate=info.rate,
        channels=info.channels,
        picture_end_seconds=finite(info.picture_end_seconds),
        stored_rate=stored.sample_rate,
        stored_layout=stored.layout.name,
        stored_format=stored.format.name if stored.format else None,
        starts_early=info.starts_early,
        bits_per_second=stored.bit_rate or 0,
        extradata_hex=(stored.extradata or b"").hex(),
    )


def _sound_parts(sound: FileSound, start: StartSound, cut: Cut) -> Iterator[_SoundPart]:
    if start.decoded is None:
        for packet in sound.packets(cut):
            yield _payload(packet), packet.pts or 0, packet.duration or 0
        return
    layout, rate = start.decoded
    for piece in sound.pieces(layout, rate, cut):
        samples = np.ascontiguousarray(piece.to_ndarray(), np.float32)
        yield samples.reshape(-1).view(np.uint8), piece.pts or 0, piece.samples


def _payload(packet: SoundPacket) -> UInt8Array:
    if packet.size > SOUND_BYTES:
        raise ValueError(f"a packet of {packet.size} bytes")
    return np.frombuffer(bytes(packet), np.uint8)
