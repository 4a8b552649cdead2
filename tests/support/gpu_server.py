"""A stand-in for a Triton that runs the models on a GPU, which no test machine needs to have.

It keeps the wire contract over real gRPC: the foreground is the source, alpha is opaque.
"""

from concurrent import futures
from typing import Any, NamedTuple

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from rvm_client import wire

_STATE_SHAPE = [1, 1, 1, 1]


class ModelRequest(NamedTuple):
    """What was sent to a model."""

    model: str
    src_shape: tuple[int, ...]


class GpuServer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Serves on loopback for as long as its context lasts; `requests` has all that were answered.

    While `failure` is set, requests of more than `most_frames` fail with that text. `planes` says
    whether the model for YUV is there, too.
    """

    def __init__(
        self, failure: str | None = None, most_frames: int = 0, *, planes: bool = False
    ) -> None:
        self.failure = failure
        self._most_frames = most_frames
        self.version = "1"
        self._inputs: dict[str, tuple[str, ...]] = {wire.MODEL_NAME: wire.INPUTS}
        if planes:
            self._inputs[wire.YUV_MODEL_NAME] = wire.YUV_INPUTS
        self.requests: list[ModelRequest] = []
        self._server = grpc.server(
            futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)]
        )
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.url = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> "GpuServer":
        self._server.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.stop(0).wait()

    @property
    def frames(self) -> list[int]:
        """T of each request."""
        return [request.src_shape[1] for request in self.requests]

    def ModelReady(self, request: Any, _context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=request.name in self._inputs)

    def ModelMetadata(self, request: Any, _context: Any) -> Any:  # noqa: N802
        inputs = [
            service_pb2.ModelMetadataResponse.TensorMetadata(
                name=name, datatype="UINT8" if name == wire.SRC else "FP32"
            )
            for name in self._inputs[request.name]
        ]
        return service_pb2.ModelMetadataResponse(
            name=request.name, versions=[self.version], inputs=inputs
        )

    def ModelConfig(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        group = model_config_pb2.ModelInstanceGroup(kind="KIND_GPU", count=1, gpus=[0])
        config = model_config_pb2.ModelConfig(instance_group=[group])
        return service_pb2.ModelConfigResponse(config=config)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        shape = list(request.inputs[0].shape)
        if self.failure is not None and shape[1] > self._most_frames:
            context.abort(grpc.StatusCode.INTERNAL, self.failure)
        self.requests.append(ModelRequest(request.model_name, tuple(shape)))
        # [B,T,H,W,3], or [B,T,H*3/2,W].
        is_rgb = request.model_name == wire.MODEL_NAME
        height, width = (shape[2], shape[3]) if is_rgb else (shape[2] * 2 // 3, shape[3])
        pha_shape = [*shape[:2], height, width, 1]
        response = service_pb2.ModelInferResponse(model_name=request.model_name)
        outputs = [
            (wire.FGR, "UINT8", shape, request.raw_input_contents[0]),
            (wire.PHA, "UINT8", pha_shape, np.full(pha_shape, 255, np.uint8).tobytes()),
            *((name, "FP32", _STATE_SHAPE, bytes(4)) for name in wire.STATE_OUTPUTS),
        ]
        for name, datatype, size, content in outputs:
            response.outputs.add(name=name, datatype=datatype, shape=size)
            response.raw_output_contents.append(content)
        return response
