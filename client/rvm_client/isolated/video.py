"""Videos and pictures that another process decodes into memory that it shares with us."""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rvm_client.backdrop import Fit
from rvm_client.closing import Closing
from rvm_client.errors import InputError
from rvm_client.frames import MatteChunk, Role, SourceChunk
from rvm_client.isolated.memory import Block
from rvm_client.isolated.messages import (
    ChunkFilled,
    DropBlock,
    FillBlock,
    OpenVideo,
    PictureRead,
    Progress,
    ReadPicture,
    StartChunks,
    VideoEnded,
    VideoOpened,
)
from rvm_client.isolated.process import DecoderProcess, printable
from rvm_client.machine import say_once
from rvm_client.options import Limits, MatteOptions
from rvm_client.pixels import UInt8Array

# Blocks that wait for their next use. The warm start holds more of them for a while.
_SPARE_BLOCKS = 2


class IsolatedReader(Closing):
    """A video that `process` decodes; everything else as with VideoReader.

    Chunks lie in blocks of memory that the process writes to. A block is used again when nobody
    has its chunk any more, so there is one copy of each frame, as there is without the process.
    """

    def __init__(
        self,
        process: DecoderProcess,
        path: Path,
        options: MatteOptions,
        limits: Limits,
        *,
        keeps_alpha: bool,
        takes_planes: bool,
    ) -> None:
        self._limits = limits
        request = OpenVideo(path, _without_paths(options), limits, keeps_alpha, takes_planes)
        self._conversation = process.open(path, request)
        try:
            opened = self._conversation.receive(VideoOpened)
            self._note(opened)
            self.info = opened.info()
            self._check_size()
        except BaseException:
            self.close()
            raise

    def _check_size(self) -> None:
        if self.info.width_pixels * self.info.height_pixels > self._limits.max_frame_pixels:
            raise self._conversation.nonsense()

    def close(self) -> None:
        """End the decoding."""
        self._conversation.close()

    @property
    def damaged_packets(self) -> int:
        """See VideoReader."""
        return self._progress.damaged_packets

    @property
    def decoder(self) -> str:
        """See VideoReader."""
        return self._progress.decoder

    def chunks(self, frames_per_chunk: int) -> Iterator[SourceChunk]:
        """See VideoReader."""
        info = self.info
        frame_shape = info.layout.frame_shape(info.height_pixels, info.width_pixels)
        shape = (frames_per_chunk, *frame_shape)
        for src, filled in self._filled(StartChunks(frames_per_chunk), shape):
            yield SourceChunk(src, filled.pts, Role(filled.role))

    def mattes(self) -> Iterator[MatteChunk]:
        """See VideoReader."""
        shape = (1, self.info.height_pixels, self.info.width_pixels, 4)
        for src, filled in self._filled(StartChunks(None), shape):
            yield MatteChunk(src[..., :3], src[..., 3], filled.pts)

    def _filled(
        self, start: StartChunks, shape: tuple[int, ...]
    ) -> Iterator[tuple[UInt8Array, ChunkFilled]]:
        self._conversation.send(start)
        blocks = _Blocks(math.prod(shape))
        asked = self._ask_for_one(blocks)
        frames, last_pts = 0, -math.inf
        while True:
            filled = self._conversation.receive(ChunkFilled, VideoEnded)
            self._note(filled)
            if not isinstance(filled, ChunkFilled):
                return
            if filled.role is Role.FRAMES:
                frames += len(filled.pts)
            rising = all(a < b for a, b in zip((last_pts, *filled.pts), filled.pts, strict=False))
            if not rising or len(filled.pts) > shape[0] or frames > self._limits.max_frames:
                raise self._conversation.nonsense()
            last_pts = filled.pts[-1]
            src = blocks.lend(asked, shape)[: len(filled.pts)]
            # It is decoded while this one is at work.
            asked = self._ask_for_one(blocks)
            yield src, filled
            del src

    def _ask_for_one(self, blocks: "_Blocks") -> int:
        for number in blocks.take_superfluous():
            self._conversation.send(DropBlock(number))
        number, new = blocks.take()
        if new is None:
            self._conversation.send(FillBlock(number))
            return number
        try:
            self._conversation.send(FillBlock(number), [new.descriptor])
        finally:
            new.forget_descriptor()
        return number

    def _note(self, progress: Progress) -> None:
        self._progress = progress
        for line in progress.remarks:
            say_once(printable(line))


class _Blocks:
    """Blocks of one size by their numbers: as many as are in use, and a few that wait."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._blocks: dict[int, Block] = {}
        self._next_number = 0
        # Filled by whichever thread lets go of a chunk.
        self._free = deque[int]()

    def take(self) -> tuple[int, Block | None]:
        """The number of a free block, and the block if it is a new one."""
        with suppress(IndexError):
            return self._free.popleft(), None
        number, self._next_number = self._next_number, self._next_number + 1
        try:
            block = self._blocks[number] = Block(self._size_bytes)
        except OSError as exc:
            raise InputError(
                f"there is no memory for frames of {self._size_bytes} bytes: {exc.strerror}"
            ) from exc
        return number, block

    def lend(self, number: int, shape: tuple[int, ...]) -> UInt8Array:
        """The block as an array; it is free again when nobody has that."""
        return self._blocks[number].lend(shape, lambda: self._free.append(number))

    def take_superfluous(self) -> list[int]:
        """Blocks that are forgotten here."""
        numbers = []
        while len(self._free) > _SPARE_BLOCKS:
            numbers.append(self._free.popleft())
            del self._blocks[numbers[-1]]
        return numbers


def _without_paths(options: MatteOptions) -> MatteOptions:
    """What decoding needs of them."""
    return replace(options, background=None, preview=None)


def isolated_picture(process: DecoderProcess, path: Path, fit: Fit) -> UInt8Array | None:
    """As `read_picture`."""
    shape = (fit.height_pixels, fit.width_pixels, 3)
    block = Block(math.prod(shape))
    try:
        request = ReadPicture(path, fit.width_pixels, fit.height_pixels, fit.stretch)
        conversation = process.open(path, request, [block.descriptor])
    finally:
        block.forget_descriptor()
    with conversation:
        is_image = conversation.receive(PictureRead).is_image
    return block.lend(shape) if is_image else None
