"""Frames that come from a program: checked, counted, and in chunks for the model."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rvm_client.closing import Closing
from rvm_client.errors import UsageError
from rvm_client.frames import SourceChunk
from rvm_client.matte import (
    ChunkSession,
    ChunkShape,
    Label,
    MattingModel,
    frames_per_request,
    shared_room_bytes,
)
from rvm_client.options import MatteOptions, ModelName
from rvm_client.pixels import RGB, UInt8Array
from rvm_client.scenes import with_warm_up
from rvm_client.wire import Variant

# Chunks that wait between two stages, as in the pipeline.
QUEUE_DEPTH = 1


@dataclass(frozen=True)
class SessionOptions:
    """What a session is told when it is made; see MattingSession."""

    downsample_ratio: float | Literal["auto"]
    frames_per_request: int | None
    warm_start: bool
    live: bool
    request_id: str
    model: ModelName

    def __post_init__(self) -> None:
        if self.frames_per_request is None and self.live:
            object.__setattr__(self, "frames_per_request", 1)
        if self.warm_start and self.live:
            raise UsageError(
                "a warm start needs frames that a live source has not yet given; leave one out"
            )
        self.matte_options()

    @property
    def variant(self) -> Variant:
        """Of the model."""
        return self.matte_options().variant

    def matte_options(self) -> MatteOptions:
        """The same, as the pipeline has it."""
        ratio = None if self.downsample_ratio == "auto" else self.downsample_ratio
        if isinstance(ratio, str):
            raise UsageError(f"the downsample ratio is {ratio!r}; it must be a number, or auto")
        return MatteOptions(
            downsample_ratio=ratio, frames_per_request=self.frames_per_request, model=self.model
        )


class Scene(Closing):
    """One connection and what is open on it: the chunks of a program's frames.

    The session on chunks is opened with the first frame, which says how large frames are, and
    goes on until a scene begins whose frames are of another size.
    """

    def __init__(self, model: MattingModel, options: SessionOptions) -> None:
        self.model = model
        self.options = options
        self._chunks: ChunkSession | None = None
        self._size: tuple[int, int] | None = None
        self._begins = self._is_reset = True
        self._count = itertools.count()

    @property
    def chunks(self) -> ChunkSession:
        """The session that mattes the chunks; there from the first frame on."""
        assert self._chunks is not None
        return self._chunks

    @property
    def is_open(self) -> bool:
        """Whether there was a frame."""
        return self._chunks is not None

    def begin_scene(self) -> None:
        """Let the first frame of the next call begin a scene, of any size."""
        self._is_reset = True

    def stop(self) -> None:
        """Let another thread that waits for a matte wait no longer; the scene has ended."""
        if self._chunks is not None:
            self._chunks.stop()

    def close(self) -> None:
        """Give back what the scene holds; another may begin."""
        if self._chunks is not None:
            self._chunks.close()
        self._chunks = self._size = None
        self._begins = True

    def end(self) -> None:
        """Close it, and its connection."""
        self.close()
        self.model.close()

    def one(self, frame: Any) -> SourceChunk:
        """A frame, staged as a chunk of its own."""
        if self.options.warm_start:
            raise UsageError("a warm start needs the frames that follow; give them to matte()")
        self._start()
        picture = self._checked(frame, 0)
        return self.chunks.stage(self._chunk([picture]))

    def staged(self, frames: Iterable[Any]) -> Iterator[SourceChunk]:
        """The frames in chunks, staged, with those of a warm start."""
        self._start()
        pictures = (self._checked(frame, index) for index, frame in enumerate(_each(frames)))
        first = next(pictures, None)
        if first is None:
            return
        count = self._frames_per_chunk()
        chunks = self._in_chunks(itertools.chain((first,), pictures), count)
        if self.options.warm_start:
            chunks = with_warm_up(chunks, frames_per_chunk=count)
        yield from self.chunks.staged(chunks)

    def _start(self) -> None:
        begins = self._is_reset or self.options.warm_start
        self._begins, self._is_reset = self._begins or begins, False

    def _in_chunks(self, pictures: Iterator[UInt8Array], count: int) -> Iterator[SourceChunk]:
        while gathered := list(itertools.islice(pictures, count)):
            yield self._chunk(gathered)

    def _chunk(self, pictures: list[UInt8Array]) -> SourceChunk:
        # A warm start resets it, and what it leaves is what the first frame needs.
        resets_state = self._begins and not self.options.warm_start
        self._begins = False
        src = pictures[0][np.newaxis] if len(pictures) == 1 else np.stack(pictures)
        pts = tuple(itertools.islice(self._count, len(pictures)))
        return SourceChunk(src, pts, resets_state=resets_state)

    def _checked(self, frame: Any, index: int) -> UInt8Array:
        picture = _picture(frame, index)
        size = picture.shape[:2]
        if self._size is not None and size != self._size:
            if not self._begins:
                raise UsageError(
                    f"frame {index} is {size[1]}x{size[0]} pixels and those before it "
                    f"{self._size[1]}x{self._size[0]}; call reset() before frames of another "
                    "size, or use a session of its own for each video"
                )
            self.close()
        if self._chunks is None:
            self._open(*size)
        return picture

    def _open(self, height: int, width: int) -> None:
        self._size = height, width
        self._chunks = self.model.session(
            self.options.matte_options().ratio_for(width, height),
            ChunkShape(self._frames_per_chunk(), height, width),
            variant=self.options.variant,
            queue_depth=QUEUE_DEPTH,
            label=Label(self.options.request_id, self.options.live),
        )

    def _frames_per_chunk(self) -> int:
        assert self._size is not None
        height, width = self._size
        return self.options.frames_per_request or frames_per_request(
            width,
            height,
            on_gpu=self.model.runs_on_gpu,
            layout=RGB,
            queue_depth=QUEUE_DEPTH,
            room_bytes=shared_room_bytes(),
        )


def _each(frames: Iterable[Any]) -> Iterable[Any]:
    if isinstance(frames, np.ndarray) and frames.ndim == 3:
        raise UsageError(
            f"an array of shape {list(frames.shape)} is one frame, and matte() takes many; give "
            "it to matte_frame(), or [frame] to matte()"
        )
    return frames


def _picture(frame: Any, index: int) -> UInt8Array:
    picture = np.asarray(frame)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise UsageError(
            f"frame {index} is {picture.dtype} of shape {list(picture.shape)}; frames are uint8 "
            "of shape [height, width, 3], RGB, 0 to 255"
        )
    if 0 in picture.shape:
        raise UsageError(f"frame {index} has no pixels: its shape is {list(picture.shape)}")
    return picture
