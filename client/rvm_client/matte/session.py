"""Chunks of frames to alpha mattes and foregrounds, by a model on a Triton server.

The recurrent state belongs to the caller: a `MattingSession` carries the state of one video
from request to request, and the server keeps nothing.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from rvm_client import wire
from rvm_client.closing import Closing
from rvm_client.errors import (
    GpuLostError,
    GpuMemoryError,
    InferenceError,
    ServerError,
    ServerUnreachableError,
)
from rvm_client.frames import MatteChunk, Role, SourceChunk
from rvm_client.matte.shared_region import SharedMemoryError
from rvm_client.matte.transport import (
    ChunkShape,
    GrpcTransport,
    ModelAddress,
    SharedMemoryTransport,
    Transport,
    constant_inputs,
    infer_by_value,
    send_arrays,
    start_states,
)
from rvm_client.pixels import I420, RGB, PixelLayout, UInt8Array
from rvm_client.stopwatch import Stopwatch

_LOG = logging.getLogger(__name__)

# What PyTorch says of a GPU. After the second kind its context is lost, as CUDA calls it sticky.
_GPU_FAILURES = (
    (re.compile(r"CUDA out of memory|CUDA error: out of memory"), GpuMemoryError),
    (re.compile(r"CUDA error|cuDNN|CUBLAS|device-side assert"), GpuLostError),
)

State = npt.NDArray[np.generic]

_STATE_DTYPES = ("FP32", "FP16")
# The last line of an error of Python or TorchScript: "builtins.ValueError: ..."
_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception): (.+)$", re.MULTILINE)


class MattingModel(Closing):
    """A connection to the models on one Triton server; a context manager, for one thread.

    A server may have the model for YUV planes beside the one for RGB, which all have.

    Args:
        url: HOST:PORT of Triton's gRPC endpoint.
        request_timeout_s: limit for one inference request.

    Raises:
        ServerUnreachableError: nothing that speaks Triton's protocol answers there.
        ServerError: the server has no such model, or one with another contract.
    """

    def __init__(self, url: str, *, request_timeout_s: float = 300.0) -> None:
        self.url = url
        self._client = triton.InferenceServerClient(url)
        try:
            self._models = {RGB.name: self._find(wire.MODEL_NAME, wire.INPUTS, request_timeout_s)}
            if self._has(wire.YUV_MODEL_NAME):
                self._models[I420.name] = self._find(
                    wire.YUV_MODEL_NAME, wire.YUV_INPUTS, request_timeout_s
                )
        except BaseException:
            self._client.close()
            raise

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    @property
    def takes_planes(self) -> bool:
        """Whether planes are to be sent: the server has the model for them, on a GPU.

        A processor converts colours faster in the client (swscale) than in the model.
        """
        model = self._models.get(I420.name)
        return model is not None and model.runs_on_gpu

    @property
    def addresses(self) -> list[ModelAddress]:
        """The models of the server that keep the wire contract."""
        return list(self._models.values())

    def send(
        self, address: ModelAddress, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> tuple[UInt8Array, UInt8Array]:
        """One request of all inputs by name: fgr as src, and pha [B,T,H,W,1].

        Raises:
            InferenceError, ServerUnreachableError: as `infer`.
        """
        with self.failing_clearly():
            return send_arrays(address, arrays)

    @property
    def runs_on_gpu(self) -> bool:
        """Whether the server runs the model on a GPU."""
        return self._models[RGB.name].runs_on_gpu

    def session(
        self,
        downsample_ratio: float,
        largest_chunk: ChunkShape | None = None,
        layout: PixelLayout = RGB,
        *,
        queue_depth: int = 1,
        room_bytes: int | None = None,
    ) -> "MattingSession":
        """A new video: empty recurrent state.

        With the shape of the largest chunk given, frames go through shared memory where that
        is possible, and in gRPC messages otherwise.

        Args:
            downsample_ratio: 0 < ratio <= 1.
            largest_chunk: the most frames of a request, and their size.
            layout: of the frames; planes only where the server has the model for them.
            queue_depth: chunks that wait before the model, and results that wait behind it.
            room_bytes: the most shared memory to take; None: what there is.
        """
        model = self._models[layout.name]
        transport = self._transport(
            model, downsample_ratio, largest_chunk, layout, queue_depth, room_bytes
        )
        return MattingSession(self, transport, model.version)

    def infer(
        self, src: UInt8Array, states: list[State], downsample_ratio: float
    ) -> tuple[UInt8Array, UInt8Array, list[State]]:
        """One request.

        Args:
            src: [B,T,H,W,3] RGB.
            states: r1..r4, as returned by the request before, or `start_states()`.
            downsample_ratio: 0 < ratio <= 1.

        Returns:
            fgr [B,T,H,W,3], pha [B,T,H,W,1], and the four states to send next.

        Raises:
            InferenceError: the server refused or failed the request.
            ServerUnreachableError: the server has gone.
        """
        with self.failing_clearly():
            return infer_by_value(
                self._models[RGB.name], src, states, constant_inputs(downsample_ratio)
            )

    def start_states(self) -> list[State]:
        """Four zeros of shape [1,1,1,1] in the model's precision."""
        return start_states(self._models[RGB.name].state_dtype)

    @contextmanager
    def failing_clearly(self) -> Iterator[None]:
        """The one place where tritonclient's exceptions become ours."""
        try:
            yield
        except InferenceServerException as exc:
            raise _from_triton(exc, self.url) from exc

    def _transport(
        self,
        model: ModelAddress,
        downsample_ratio: float,
        largest_chunk: ChunkShape | None,
        layout: PixelLayout,
        queue_depth: int,
        room_bytes: int | None,
    ) -> Transport:
        if largest_chunk is not None and _is_on_this_machine(self.url):
            try:
                with self.failing_clearly():
                    return SharedMemoryTransport(
                        model, downsample_ratio, layout, largest_chunk, queue_depth, room_bytes
                    )
            except SharedMemoryError as exc:
                _LOG.warning("Frames go in gRPC messages: memory cannot be shared (%s)", exc)
        return GrpcTransport(model, downsample_ratio, layout)

    def _has(self, model_name: str) -> bool:
        with self.failing_clearly():
            return bool(self._client.is_model_ready(model_name, client_timeout=10))

    def _runs_on_gpu(self, model_name: str) -> bool:
        with self.failing_clearly():
            config = self._client.get_model_config(model_name, client_timeout=10).config
        # Triton says here what it made of KIND_AUTO.
        return any(group.kind == group.KIND_GPU for group in config.instance_group)

    def _find(
        self, model_name: str, inputs: Sequence[str], request_timeout_s: float
    ) -> ModelAddress:
        with self.failing_clearly():
            metadata = self._client.get_model_metadata(model_name, client_timeout=10)
        dtypes = {tensor.name: tensor.datatype for tensor in metadata.inputs}
        state_dtype = dtypes.get(wire.STATE_INPUTS[0], "")
        if set(inputs) - dtypes.keys() or state_dtype not in _STATE_DTYPES:
            raise ServerError(
                f"the model {model_name} at {self.url} takes {dtypes}, which is not "
                "the wire contract of this client; serve a model that rvm-export made"
            )
        version = max(metadata.versions, key=int, default="?")
        return ModelAddress(
            self._client,
            model_name,
            version,
            state_dtype,
            request_timeout_s,
            self._runs_on_gpu(model_name),
        )


class MattingSession(Closing):
    """The matting of one video: carries the recurrent state from chunk to chunk.

    A context manager where it was made with the shape of its largest chunk.
    """

    def __init__(self, model: MattingModel, transport: Transport, model_version: str) -> None:
        self._model = model
        self._transport = transport
        self.transport_name = transport.name
        self.model_version = model_version
        self.warm_up_frames = 0
        """Frames that went through the model only for its state."""

    def close(self) -> None:
        """Give back what the session holds."""
        self._transport.close()

    def staged(self, chunks: Iterable[SourceChunk]) -> Iterator[SourceChunk]:
        """The same chunks, with their frames where they will be sent from."""
        for chunk in chunks:
            yield replace(chunk, src=self._transport.stage(chunk.src))

    def matte(self, chunk: SourceChunk) -> MatteChunk:
        """Matte the next T frames. Raises as `MattingModel.infer`."""
        if chunk.resets_state:
            self._transport.reset()
        with self._model.failing_clearly():
            fgr, pha = self._transport.infer(chunk.src, keep=chunk.role is not Role.WARM_UP)
        return MatteChunk(fgr=fgr, pha=pha, pts=chunk.pts)

    def matte_all(self, chunks: Iterable[SourceChunk], watch: Stopwatch) -> Iterator[MatteChunk]:
        """Matte a whole video of staged chunks, in order; `watch` gets the time of the requests.

        Of chunks that are there for a warm start nothing comes out. How long a result is valid,
        MatteChunk says.
        """
        for chunk in chunks:
            with watch:
                matte = self.matte(chunk)
            if chunk.role is Role.WARM_UP:
                self.warm_up_frames += len(chunk.pts)
            else:
                yield matte


def _is_on_this_machine(url: str) -> bool:
    host = url.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def reason_of(message: str) -> str:
    """The one line of a server's message that says why.

    NVIDIA's PyTorch backend puts TorchScript's trace first and the exception last; the embedded
    server has nothing but the reason.
    """
    reasons = _EXCEPTION.findall(message)
    lines = message.strip().splitlines() or ["no reason is given"]
    return str(reasons[-1] if reasons else lines[0]).strip()


def _from_triton(exc: InferenceServerException, url: str) -> ServerError:
    status, text = str(exc.status() or ""), str(exc.message())
    message = reason_of(text)
    if "UNAVAILABLE" in status and "is not ready" not in message:
        return ServerUnreachableError(
            f"no Triton server answers at {url}; start one with rvm-serve, or check the "
            f"address and the port (it must be the gRPC port): {message}"
        )
    if "DEADLINE_EXCEEDED" in status:
        return InferenceError(f"the Triton server at {url} did not answer in time: {message}")
    if "NOT_FOUND" in status or "unknown model" in message or "is not ready" in message:
        return ServerError(f"the Triton server at {url} does not serve the model: {message}")
    for pattern, error in _GPU_FAILURES:
        if pattern.search(text):
            return error(f"the GPU of the Triton server at {url} failed: {message}")
    return InferenceError(f"the Triton server at {url} refused the request: {message}")
