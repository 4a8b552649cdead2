"""How frames travel to the model and mattes back: in shared memory, or in gRPC messages.

A transport belongs to one video and carries its recurrent state from request to request.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from rvm_client import wire
from rvm_client.matte.connection import Request
from rvm_client.matte.served import ModelAddress
from rvm_client.matte.shared_region import SharedMemoryError, SharedRegion
from rvm_client.pixels import I420, RGB, PixelLayout, UInt8Array

_ALIGNMENT_BYTES = 4096
# The states of the start of a video: the model takes them for zeros of any size.
_START_SHAPE = (1, 1, 1, 1)

State = npt.NDArray[Any]


@dataclass(frozen=True)
class ChunkShape:
    """The largest chunk of a video."""

    frames: int
    height_pixels: int
    width_pixels: int

    @property
    def pixels(self) -> int:
        """T * H * W."""
        return self.frames * self.height_pixels * self.width_pixels

    def picture_bytes(self, layout: PixelLayout) -> int:
        """The bytes of its frames, and of their foregrounds."""
        return self.frames * math.prod(layout.frame_shape(self.height_pixels, self.width_pixels))

    def slot_bytes(self, layout: PixelLayout) -> int:
        """The bytes of a slot in and one out: its frames, their foregrounds and alphas."""
        return 2 * self.picture_bytes(layout) + self.pixels


class Transport(Protocol):
    """See the two below. Nothing here waits for an answer; see ChunkSession."""

    name: str
    states: list[State]
    """r1..r4 as the next request sends them; copies."""

    def stage(self, src: UInt8Array) -> UInt8Array:
        """Bring the frames [T,...] of a later request to where they will be sent from.

        May run ahead of `request` in another thread: while one chunk is at work, as many may wait
        as the queue holds.
        """

    def request(self, src: UInt8Array) -> Request:
        """What to send of staged frames. May be asked for again, of another transport too."""

    def take(
        self, answer: triton.InferResult, src: UInt8Array, *, keep: bool
    ) -> tuple[UInt8Array, UInt8Array]:
        """fgr, as `src`, and pha [T,H,W] of the last request; how long they live, see MatteChunk.

        The states of the answer are what the next request sends.
        """

    def reset(self) -> None:
        """Forget the recurrent state: a new video begins."""

    def let_go(self) -> bool:
        """Give back what is held, unless the server still uses it; whether that was done."""

    def abandon(self) -> None:
        """Leave what is held to a server that may have gone."""

    def close(self) -> None:
        """Give back what is held, and wait for the server to let go of it, within bounds."""


class GrpcTransport:
    """Everything in the messages: works with any server, at the cost of several copies."""

    name = "gRPC"

    def __init__(self, model: ModelAddress, downsample_ratio: float, layout: PixelLayout) -> None:
        self._model = model
        self._constants = constant_inputs(downsample_ratio, layout)
        self.states = start_states(model.state_dtype)

    def stage(self, src: UInt8Array) -> UInt8Array:
        """Nothing to do."""
        return src

    def request(self, src: UInt8Array) -> Request:
        """See Transport."""
        return request_by_value(self._model, src[np.newaxis], self.states, self._constants)

    def take(
        self,
        answer: triton.InferResult,
        src: UInt8Array,  # noqa: ARG002
        *,
        keep: bool,  # noqa: ARG002
    ) -> tuple[UInt8Array, UInt8Array]:
        """See Transport."""
        fgr, pha, self.states = by_value(answer)
        return fgr[0], pha[0, ..., 0]

    def reset(self) -> None:
        """See Transport."""
        self.states = start_states(self._model.state_dtype)

    def let_go(self) -> bool:
        """Nothing is held."""
        return True

    def abandon(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


class SharedMemoryTransport:
    """Pixels and states in memory that the server maps; the messages carry only offsets.

    Raises:
        SharedMemoryError: the memory cannot be shared with this server, or is more than
            `room_bytes`.
    """

    name = "shared memory"

    def __init__(
        self,
        model: ModelAddress,
        downsample_ratio: float,
        layout: PixelLayout,
        shape: ChunkShape,
        queue_depth: int,
        room_bytes: int | None,
    ) -> None:
        self._model = model
        self._shape = shape
        self._picture_bytes = shape.picture_bytes(layout)
        self._constants = constant_inputs(downsample_ratio, layout)
        self._dtype = np.dtype(triton_to_np_dtype(model.state_dtype))
        channels = wire.MODELS[model.name].state_channels
        state_sizes = _state_sizes(shape, downsample_ratio, channels, self._dtype.itemsize)
        self._plan = _RegionPlan(
            ring_slots(queue_depth), self._picture_bytes, shape.pixels, state_sizes
        )
        if room_bytes is not None and self._plan.size_bytes > room_bytes:
            raise SharedMemoryError(
                f"{self._plan.size_bytes} bytes are needed, and this job has {room_bytes}"
            )
        self._region = SharedRegion(model.connection, self._plan.size_bytes)
        self._next_input = self._next_output = 0
        self._current = 0
        self._state_shapes: list[tuple[int, ...]] = []
        self.reset()

    def stage(self, src: UInt8Array) -> UInt8Array:
        """Copy into the next slot of the ring."""
        slot = self._region.array(self._plan.inputs[self._next_input], src.shape, np.uint8)
        np.copyto(slot, src)
        self._next_input = (self._next_input + 1) % self._plan.slots
        return slot

    def request(self, src: UInt8Array) -> Request:
        """See Transport."""
        inputs = [self._source_input(src), *self._state_inputs(), *self._constants]
        fgr_offset = self._plan.outputs[self._next_output]
        outputs = [
            self._output(wire.FGR, src.nbytes, fgr_offset),
            self._output(
                wire.PHA, math.prod(self._pha_shape(src)), fgr_offset + self._picture_bytes
            ),
            *(
                self._output(name, size, offset)
                for name, size, offset in zip(
                    wire.STATE_OUTPUTS,
                    self._plan.state_sizes,
                    self._plan.states[1 - self._current],
                    strict=True,
                )
            ),
        ]
        return Request(self._model.name, self._model.version, inputs, outputs)

    def take(
        self, answer: triton.InferResult, src: UInt8Array, *, keep: bool
    ) -> tuple[UInt8Array, UInt8Array]:
        """See Transport. The results are views of a slot of the ring."""
        self._current = 1 - self._current
        self._state_shapes = [tuple(answer.get_output(name).shape) for name in wire.STATE_OUTPUTS]
        fgr_offset = self._plan.outputs[self._next_output]
        if keep:
            self._next_output = (self._next_output + 1) % self._plan.slots
        fgr = self._region.array(fgr_offset, src.shape, np.uint8)
        pha_offset = fgr_offset + self._picture_bytes
        return fgr, self._region.array(pha_offset, self._pha_shape(src), np.uint8)

    def reset(self) -> None:
        """See Transport."""
        self.states = start_states(self._model.state_dtype)

    @property
    def states(self) -> list[State]:
        """See Transport."""
        offsets = self._plan.states[self._current]
        return [
            self._region.array(offset, shape, self._dtype).copy()
            for offset, shape in zip(offsets, self._state_shapes, strict=True)
        ]

    @states.setter
    def states(self, states: Sequence[State]) -> None:
        self._current = 0
        self._state_shapes = [state.shape for state in states]
        for offset, state in zip(self._plan.states[0], states, strict=True):
            np.copyto(self._region.array(offset, state.shape, self._dtype), state)

    def let_go(self) -> bool:
        """See Transport."""
        return self._region.let_go()

    def abandon(self) -> None:
        """See Transport."""
        self._region.abandon()

    def close(self) -> None:
        """End the sharing."""
        self._region.close()

    def _pha_shape(self, src: UInt8Array) -> tuple[int, int, int]:
        return len(src), self._shape.height_pixels, self._shape.width_pixels

    def _source_input(self, src: UInt8Array) -> triton.InferInput:
        offset = self._region.offset_of(src)
        if offset is None:
            # Staged before another server took the place of one that was lost.
            return _by_value(wire.SRC, src[np.newaxis], "UINT8")
        return self._input(wire.SRC, (1, *src.shape), "UINT8", offset)

    def _state_inputs(self) -> list[triton.InferInput]:
        offsets = self._plan.states[self._current]
        return [
            self._input(name, shape, self._model.state_dtype, offset)
            for name, shape, offset in zip(
                wire.STATE_INPUTS, self._state_shapes, offsets, strict=True
            )
        ]

    def _input(
        self, name: str, shape: tuple[int, ...], datatype: str, offset: int
    ) -> triton.InferInput:
        tensor = triton.InferInput(name, list(shape), datatype)
        itemsize = np.dtype(triton_to_np_dtype(datatype)).itemsize
        tensor.set_shared_memory(self._region.name, math.prod(shape) * itemsize, offset=offset)
        return tensor

    def _output(self, name: str, size: int, offset: int) -> triton.InferRequestedOutput:
        tensor = triton.InferRequestedOutput(name)
        tensor.set_shared_memory(self._region.name, size, offset=offset)
        return tensor


class _RegionPlan:
    """Offsets in the region: slots for pixels in and out, and two sets of states in turn."""

    def __init__(
        self, slots: int, picture_bytes: int, alpha_bytes: int, state_sizes: list[int]
    ) -> None:
        self.slots = slots
        self.state_sizes = state_sizes
        self.size_bytes = 0
        self.inputs = [self._take(picture_bytes) for _ in range(slots)]
        self.outputs = [self._take(picture_bytes + alpha_bytes) for _ in range(slots)]
        self.states = [[self._take(size) for size in state_sizes] for _ in range(2)]

    def _take(self, size: int) -> int:
        offset = self.size_bytes
        self.size_bytes += math.ceil(size / _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
        return offset


def ring_slots(queue_depth: int) -> int:
    """Slots in each direction: for the chunk at work, for those that wait in the queue between
    two stages, and for the one that is being filled or read."""
    return queue_depth + 2


def _state_sizes(
    shape: ChunkShape, downsample_ratio: float, channels: tuple[int, ...], itemsize: int
) -> list[int]:
    """Bytes of each state; the size at the ratio is rounded up, which never is too little."""
    height = math.ceil(shape.height_pixels * downsample_ratio) + 1
    width = math.ceil(shape.width_pixels * downsample_ratio) + 1
    return [
        count * math.ceil(height / stride) * math.ceil(width / stride) * itemsize
        for count, stride in zip(channels, wire.STATE_STRIDES, strict=True)
    ]


def start_states(state_dtype: str) -> list[State]:
    """Four zeros of shape [1,1,1,1] in the model's precision."""
    dtype = triton_to_np_dtype(state_dtype)
    return [np.zeros(_START_SHAPE, dtype) for _ in wire.STATE_INPUTS]


def constant_inputs(downsample_ratio: float, layout: PixelLayout = RGB) -> list[triton.InferInput]:
    """What is the same in all requests of a video: 0 < downsample_ratio <= 1, and matrices."""
    values: dict[str, Any] = {wire.DOWNSAMPLE_RATIO: [downsample_ratio]}
    if isinstance(layout, I420):
        values |= {wire.TO_RGB: layout.to_rgb, wire.FROM_RGB: layout.from_rgb}
    return [_by_value(name, np.array(value, np.float32), "FP32") for name, value in values.items()]


def request_by_value(
    model: ModelAddress,
    src: UInt8Array,
    states: Sequence[State],
    constants: list[triton.InferInput],
) -> Request:
    """A request with everything in it; src is [B,T,...]."""
    inputs = [_by_value(wire.SRC, src, "UINT8")]
    inputs += [
        _by_value(name, state, model.state_dtype)
        for name, state in zip(wire.STATE_INPUTS, states, strict=True)
    ]
    return Request(model.name, model.version, [*inputs, *constants])


def by_value(answer: triton.InferResult) -> tuple[UInt8Array, UInt8Array, list[State]]:
    """fgr as src, pha [B,T,H,W,1] and the next states, of an answer with everything in it."""
    states = [answer.as_numpy(name) for name in wire.STATE_OUTPUTS]
    return answer.as_numpy(wire.FGR), answer.as_numpy(wire.PHA), states


def infer_by_value(
    model: ModelAddress,
    src: UInt8Array,
    states: Sequence[State],
    constants: list[triton.InferInput],
    is_stopped: Callable[[], bool] = lambda: False,
) -> tuple[UInt8Array, UInt8Array, list[State]]:
    """One such request and its answer."""
    return by_value(
        model.connection.infer(request_by_value(model, src, states, constants), is_stopped)
    )


def send_arrays(
    model: ModelAddress, arrays: Mapping[str, npt.NDArray[Any]]
) -> tuple[UInt8Array, UInt8Array]:
    """One request of inputs by name: fgr as src, and pha [B,T,H,W,1]."""
    inputs = [_by_value(name, x, np_to_triton_dtype(x.dtype)) for name, x in arrays.items()]
    answer = model.connection.infer(Request(model.name, model.version, inputs))
    return answer.as_numpy(wire.FGR), answer.as_numpy(wire.PHA)


def _by_value(name: str, value: npt.NDArray[Any], datatype: str) -> triton.InferInput:
    tensor = triton.InferInput(name, list(value.shape), datatype)
    tensor.set_data_from_numpy(value)
    return tensor
