"""A gRPC gateway in front of a Triton server: TLS, a token, and requests that it loses."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2_grpc

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
Fault = tuple[grpc.StatusCode, str]


class Gateway(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Passes on to the server what clients call.

    Args:
        grpc_url: HOST:PORT of the server.
        faults: how the first inference requests fail, one after the other.
        header: a name and a value that the metadata of each call must have.
    """

    def __init__(
        self, grpc_url: str, faults: Sequence[Fault] = (), header: tuple[str, str] | None = None
    ) -> None:
        channel = grpc.insecure_channel(grpc_url, options=UNLIMITED)
        self._server = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._faults = list(faults)
        self._header = header
        self.requests: list[Any] = []
        """The ModelInferRequests that came, also those that were lost."""

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """As the server."""
        return self._passed_on("ModelMetadata", request, context)

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """As the server."""
        return self._passed_on("ModelConfig", request, context)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """As the server."""
        return self._passed_on("ModelReady", request, context)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """As the server, once the faults are used up."""
        self._check(context)
        self.requests.append(request)
        if fault := self._fault_of(request):
            context.abort(*fault)
        return self._passed_on("ModelInfer", request, context)

    def _fault_of(self, request: Any) -> Fault | None:  # noqa: ARG002
        return self._faults.pop(0) if self._faults else None

    def _passed_on(self, call: str, request: Any, context: Any) -> Any:
        self._check(context)
        try:
            return getattr(self._server, call)(request)
        except grpc.RpcError as exc:
            context.abort(exc.code(), exc.details())

    def _check(self, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        if self._header and metadata.get(self._header[0]) != self._header[1]:
            context.abort(grpc.StatusCode.UNAVAILABLE, "This protocol is restricted")


@contextmanager
def serving(gateway: Gateway, certificate: Path | None = None, *, port: int = 0) -> Iterator[str]:
    """The address of a gateway that runs; a certificate (PEM, with its key) makes it TLS."""
    with ThreadPoolExecutor() as threads:
        server = grpc.server(threads, options=UNLIMITED)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(gateway, server)
        if certificate is None:
            port = server.add_insecure_port(f"127.0.0.1:{port}")
        else:
            pem = certificate.read_bytes()
            credentials = grpc.ssl_server_credentials([(pem, pem)])
            port = server.add_secure_port(f"127.0.0.1:{port}", credentials)
        server.start()
        yield f"localhost:{port}"
        server.stop(grace=None).wait()
