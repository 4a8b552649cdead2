"""A connection to one Triton server: the only place where tritonclient is called, and fails."""

import asyncio
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tritonclient.grpc as triton
from tritonclient.grpc import aio
from tritonclient.utils import InferenceServerException

from rvm_client.closing import Closing
from rvm_client.errors import (
    AccessError,
    GpuLostError,
    GpuMemoryError,
    InferenceError,
    ModelProcessError,
    NotServedError,
    ServerBusyError,
    ServerError,
    ServerSilentError,
    ServerUnreachableError,
    StoppedError,
)
from rvm_client.matte.endpoint import Credentials, Endpoint

# For what a server that lives answers at once, no more than for a request unless that has less than
# it may take; and for a load with its warm-up.
_CONTROL_TIMEOUT_S = 2.0, 10.0
_LOAD_TIMEOUT_S = 600.0
_CLOSE_S = 2.0
# How often a request looks whether it should stop, and how long it may then go on: a server that
# still works on frames in shared memory does not let go of the memory.
_POLL_S = 0.1
_GRACE_S = 1.0

# What PyTorch says of a GPU. After the second kind its context is lost, as CUDA calls it sticky.
_GPU_FAILURES = (
    (re.compile(r"CUDA out of memory|CUDA error: out of memory"), GpuMemoryError),
    (re.compile(r"CUDA error|cuDNN|CUBLAS|device-side assert"), GpuLostError),
)
# What Triton says of a version that was unloaded, or never was there.
_NOT_SERVED = re.compile(r"unknown model|is not ready|is not at ready state")
# What Triton's Python backend says when its process has died. The server stays "ready".
_DEAD_PROCESS = re.compile(r"Stub process .* is not healthy")
# What Triton says when a request finds the queue full, or waited there for too long.
_BUSY = re.compile(r"[Ee]xceeds maximum queue size|Request timeout expired")
# What gRPC says of a certificate.
_UNTRUSTED = re.compile(
    r"CERTIFICATE_VERIFY_FAILED|certificate signature failure|Hostname Verification Check failed"
)
_REQUEST_ID = re.compile(r"^\[request id: [^\]]*\] ")
# How long a request takes when none was answered yet.
_USUAL_REQUEST_S = 0.25
# The last line of an error of Python or TorchScript: "builtins.ValueError: ..."
_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Request:
    """One inference request, ready to be sent; it may be sent again."""

    model_name: str
    model_version: str
    inputs: Sequence[triton.InferInput]
    outputs: Sequence[triton.InferRequestedOutput] | None = None
    """None: all, in the answer."""
    request_id: str = ""
    """Stands in the server's log."""
    priority: int = 0
    """1 goes before 2 in the server's queue; 0: the model's default."""
    queue_timeout_s: float | None = None
    """How long it may wait there before it is refused; None: as long as the model allows."""
    patience_s: float | None = None
    """After how long without an answer it is given up; None: never."""


class OvertakenError(ServerBusyError):
    """A request was given up. The server may still come to it, and then uses its memory."""

    def __init__(self, url: str, patience_s: float) -> None:
        super().__init__(
            f"the Triton server at {url} has not come to a request of batch work in "
            f"{patience_s:.1f} s: it works for live streams, which go first, or hangs; send fewer "
            "requests at once",
            retry_after_s=0.0,
        )


class Connection(Closing):
    """A connection to the Triton server at HOST:PORT; each call has a deadline.

    All methods raise ServerError, of the kind that fits.

    Args:
        url: HOST:PORT of Triton's gRPC endpoint.
        request_timeout_s: limit for one inference request.
        credentials: how one comes in there.

    Raises:
        ConfigError: the file of authorities cannot be read.
    """

    def __init__(
        self, url: str, request_timeout_s: float, credentials: Credentials | None = None
    ) -> None:
        self.url = url
        self.request_timeout_s = request_timeout_s
        self.endpoint = Endpoint.find(url, credentials or Credentials())
        self._headers = self.endpoint.headers
        self._client = triton.InferenceServerClient(url, **self.endpoint.client_arguments)
        self._pace = _Pace()
        self._is_closed = False

    def close(self) -> None:
        """End the connection. May be called again."""
        self._is_closed = True
        # Where an exception such as Ctrl-C's broke a call in the middle of gRPC, it would wait for
        # the call's end for ever.
        closing = threading.Thread(target=self._client.close, name="close", daemon=True)
        closing.start()
        closing.join(_CLOSE_S)

    def infer(
        self, request: Request, is_stopped: Callable[[], bool] = lambda: False
    ) -> triton.InferResult:
        """Send one request and wait for its answer.

        Raises:
            StoppedError: `is_stopped` said so meanwhile.
            OvertakenError: its patience is at an end.
        """
        self._check_open()
        answers: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        sent_s = time.monotonic()
        call = self._client.async_infer(
            callback=lambda result, error: answers.put((result, error)),
            headers=self._headers,
            **_arguments(request, self.request_timeout_s),
        )
        stopped_s = None
        while True:
            try:
                result, error = answers.get(timeout=_POLL_S)
                break
            except queue.Empty:
                now_s = time.monotonic()
                if is_stopped():
                    stopped_s = stopped_s or now_s
                    if now_s > stopped_s + _GRACE_S:
                        call.cancel()
                        raise StoppedError("the work was stopped") from None
                elif request.patience_s is not None and now_s > sent_s + request.patience_s:
                    call.cancel()
                    raise OvertakenError(self.url, request.patience_s) from None
        if error is not None:
            raise from_triton(error, self.url, self._pace.request_s) from error
        self._pace.note(time.monotonic() - sent_s)
        return result

    def is_served(self, model_name: str) -> bool:
        """Whether the server has the model."""
        with self._failing_clearly():
            return bool(self._client.is_model_ready(model_name, **self._control))

    def metadata(self, model_name: str) -> Any:
        """Triton's ModelMetadataResponse."""
        with self._failing_clearly():
            return self._client.get_model_metadata(model_name, **self._control)

    def config(self, model_name: str) -> Any:
        """Triton's ModelConfig, with what it made of KIND_AUTO."""
        with self._failing_clearly():
            answer = self._client.get_model_config(model_name, **self._control)
        return answer.config

    def load(
        self,
        model_name: str,
        config: str | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Load a model, or its versions anew: as its repository has it, or from what is given.

        Args:
            model_name: of the model; where it cannot be loaded, what was served is served on.
            config: a ModelConfig as JSON, in place of the repository's.
            files: contents by "file:VERSION/NAME", in place of the repository's.
        """
        with self._failing_clearly():
            self._client.load_model(
                model_name,
                headers=self._headers,
                config=config,
                files=files,
                client_timeout=_LOAD_TIMEOUT_S,
            )

    def unload(self, model_name: str) -> None:
        """End all versions of a model, once their requests are done."""
        with self._failing_clearly():
            self._client.unload_model(model_name, **self._control)

    def last_inferences_s(self, model_name: str) -> dict[str, float]:
        """When each loaded version did its last request, by the server's clock; 0: never."""
        with self._failing_clearly():
            statistics = self._client.get_inference_statistics(model_name, **self._control)
        return {each.version: each.last_inference / 1000 for each in statistics.model_stats}

    def regions(self) -> list[str]:
        """The names of the shared memory regions that the server maps."""
        with self._failing_clearly():
            status = self._client.get_system_shared_memory_status(**self._control)
        return list(status.regions)

    def register(self, name: str, size_bytes: int) -> None:
        """Let the server map the segment `name` of /dev/shm under the same name."""
        with self._failing_clearly():
            self._client.register_system_shared_memory(
                name, f"/{name}", size_bytes, **self._control
            )

    def unregister(self, name: str, timeout_s: float | None = None) -> None:
        """End a mapping."""
        arguments = self._control | ({"client_timeout": timeout_s} if timeout_s else {})
        with self._failing_clearly():
            self._client.unregister_system_shared_memory(name, **arguments)

    @property
    def _control(self) -> dict[str, Any]:
        least_s, most_s = _CONTROL_TIMEOUT_S
        timeout_s = min(most_s, max(least_s, self.request_timeout_s))
        return {"headers": self._headers, "client_timeout": timeout_s}

    def _check_open(self) -> None:
        if self._is_closed:
            raise ServerUnreachableError(f"the connection to {self.url} has ended")

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        self._check_open()
        try:
            yield
        except InferenceServerException as exc:
            raise from_triton(exc, self.url) from exc


class AsyncConnection:
    """The requests of a Connection from within asyncio; made and used in one event loop."""

    def __init__(self, connection: Connection) -> None:
        self.url = connection.url
        self._request_timeout_s = connection.request_timeout_s
        self._headers = connection.endpoint.headers
        self._client = aio.InferenceServerClient(self.url, **connection.endpoint.client_arguments)
        self._pace = _Pace()

    async def close(self) -> None:
        """End the connection."""
        await self._client.close()

    async def infer(self, request: Request) -> triton.InferResult:
        """Send one request and wait for its answer. Raises ServerError."""
        sent_s = time.monotonic()
        try:
            result = await asyncio.wait_for(
                self._client.infer(
                    headers=self._headers, **_arguments(request, self._request_timeout_s)
                ),
                request.patience_s,
            )
        except TimeoutError:
            assert request.patience_s is not None
            raise OvertakenError(self.url, request.patience_s) from None
        except InferenceServerException as exc:
            raise from_triton(exc, self.url, self._pace.request_s) from exc
        self._pace.note(time.monotonic() - sent_s)
        return result


class _Pace:
    """How long a request takes that does not wait: so soon a busy server has room for another."""

    def __init__(self) -> None:
        self.request_s = _USUAL_REQUEST_S

    def note(self, seconds: float) -> None:
        self.request_s = min(1.1 * self.request_s, seconds)


def _arguments(request: Request, timeout_s: float) -> dict[str, Any]:
    return {
        "model_name": request.model_name,
        "model_version": request.model_version,
        "inputs": request.inputs,
        "outputs": request.outputs,
        "request_id": request.request_id,
        "priority": request.priority,
        # Triton counts in microseconds.
        "timeout": request.queue_timeout_s and round(1e6 * request.queue_timeout_s),
        "client_timeout": timeout_s,
    }


def from_triton(
    exc: InferenceServerException, url: str, request_s: float = _USUAL_REQUEST_S
) -> ServerError:
    """What tritonclient raised, as one of our errors; requests take `request_s` of late."""
    status, text = str(exc.status() or ""), str(exc.message())
    message = reason_of(_REQUEST_ID.sub("", text))
    if "is restricted" in message:
        return AccessError(
            f"the Triton server at {url} is closed to this client, which has no token or not the "
            f"right one: {message}"
        )
    if _BUSY.search(text):
        return ServerBusyError(
            f"the Triton server at {url} has as many requests as it takes; try again in "
            f"{request_s:.2f} s, or send fewer at once: {message}",
            retry_after_s=request_s,
        )
    if _UNTRUSTED.search(text):
        return AccessError(
            f"the certificate of the Triton server at {url} is not trusted, or is one for another "
            f"name; name the file of its authority in RVM_TRITON_CA_FILE: {message}"
        )
    is_served = "NOT_FOUND" not in status and not _NOT_SERVED.search(message)
    if "UNAVAILABLE" in status and is_served:
        return ServerUnreachableError(
            f"no Triton server answers at {url}; start one with rvm-serve, or check the "
            f"address and the port (it must be the gRPC port): {message}"
        )
    if "DEADLINE_EXCEEDED" in status:
        return ServerSilentError(f"the Triton server at {url} did not answer in time: {message}")
    if not is_served:
        return NotServedError(f"the Triton server at {url} does not serve the model: {message}")
    if _DEAD_PROCESS.search(text):
        return ModelProcessError(
            f"the process that runs the model for the Triton server at {url} has died, which is "
            f"often for want of memory: {message}"
        )
    for pattern, error in _GPU_FAILURES:
        if pattern.search(text):
            return error(f"the GPU of the Triton server at {url} failed: {message}")
    return InferenceError(f"the Triton server at {url} refused the request: {message}")


def reason_of(message: str) -> str:
    """The one line of a server's message that says why.

    NVIDIA's PyTorch backend puts TorchScript's trace first and the exception last; the embedded
    server has nothing but the reason.
    """
    reasons = _EXCEPTION.findall(message)
    lines = message.strip().splitlines() or ["no reason is given"]
    return str(reasons[-1] if reasons else lines[0]).strip()
