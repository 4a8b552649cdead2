"""A connection to one Triton server: the only place where tritonclient is called, and fails."""

import queue
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from rvm_client.closing import Closing
from rvm_client.errors import (
    GpuLostError,
    GpuMemoryError,
    InferenceError,
    ModelProcessError,
    ServerError,
    ServerSilentError,
    ServerUnreachableError,
    StoppedError,
)
from rvm_client.server import access_headers

# For what a server that lives answers at once.
_CONTROL_TIMEOUT_S = 10.0
# How often a request looks whether it should stop, and how long it may then go on: a server that
# still works on frames in shared memory does not let go of the memory.
_POLL_S = 0.1
_GRACE_S = 1.0

# What PyTorch says of a GPU. After the second kind its context is lost, as CUDA calls it sticky.
_GPU_FAILURES = (
    (re.compile(r"CUDA out of memory|CUDA error: out of memory"), GpuMemoryError),
    (re.compile(r"CUDA error|cuDNN|CUBLAS|device-side assert"), GpuLostError),
)
# What Triton's Python backend says when its process has died. The server stays "ready".
_DEAD_PROCESS = re.compile(r"Stub process .* is not healthy")
# The last line of an error of Python or TorchScript: "builtins.ValueError: ..."
_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception): (.+)$", re.MULTILINE)


class Connection(Closing):
    """A connection to the Triton server at HOST:PORT; each call has a deadline.

    All methods raise ServerError, of the kind that fits.

    Args:
        url: HOST:PORT of Triton's gRPC endpoint.
        request_timeout_s: limit for one inference request.
    """

    def __init__(self, url: str, request_timeout_s: float) -> None:
        self.url = url
        self._request_timeout_s = request_timeout_s
        self._client = triton.InferenceServerClient(url)
        self._is_closed = False
        # A server that others reach, too, shares memory with its own machine only.
        self._headers = access_headers(url) if is_on_this_machine(url) else None

    def close(self) -> None:
        """End the connection. May be called again."""
        self._is_closed = True
        self._client.close()

    def infer(
        self,
        model_name: str,
        inputs: Sequence[triton.InferInput],
        outputs: Sequence[triton.InferRequestedOutput] | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> triton.InferResult:
        """Send one request and wait for its answer.

        Raises:
            StoppedError: `is_stopped` said so meanwhile.
        """
        self._check_open()
        answers: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        call = self._client.async_infer(
            model_name,
            inputs,
            callback=lambda result, error: answers.put((result, error)),
            outputs=outputs,
            client_timeout=self._request_timeout_s,
        )
        stopped_s = None
        while True:
            try:
                result, error = answers.get(timeout=_POLL_S)
                break
            except queue.Empty:
                if not is_stopped():
                    continue
                stopped_s = stopped_s or time.monotonic()
                if time.monotonic() > stopped_s + _GRACE_S:
                    call.cancel()
                    raise StoppedError("the work was stopped") from None
        if error is not None:
            raise from_triton(error, self.url) from error
        return result

    def is_served(self, model_name: str) -> bool:
        """Whether the server has the model."""
        with self._failing_clearly():
            return bool(self._client.is_model_ready(model_name, client_timeout=_CONTROL_TIMEOUT_S))

    def metadata(self, model_name: str) -> Any:
        """Triton's ModelMetadataResponse."""
        with self._failing_clearly():
            return self._client.get_model_metadata(model_name, client_timeout=_CONTROL_TIMEOUT_S)

    def config(self, model_name: str) -> Any:
        """Triton's ModelConfig, with what it made of KIND_AUTO."""
        with self._failing_clearly():
            answer = self._client.get_model_config(model_name, client_timeout=_CONTROL_TIMEOUT_S)
        return answer.config

    def regions(self) -> list[str]:
        """The names of the shared memory regions that the server maps."""
        with self._failing_clearly():
            status = self._client.get_system_shared_memory_status(
                headers=self._headers, client_timeout=_CONTROL_TIMEOUT_S
            )
        return list(status.regions)

    def register(self, name: str, size_bytes: int) -> None:
        """Let the server map the segment `name` of /dev/shm under the same name."""
        with self._failing_clearly():
            self._client.register_system_shared_memory(
                name, f"/{name}", size_bytes, 0, self._headers, _CONTROL_TIMEOUT_S
            )

    def unregister(self, name: str, timeout_s: float = _CONTROL_TIMEOUT_S) -> None:
        """End a mapping."""
        with self._failing_clearly():
            self._client.unregister_system_shared_memory(name, self._headers, timeout_s)

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


def is_on_this_machine(url: str) -> bool:
    """Whether HOST:PORT is spelled as an address of this machine that no other reaches."""
    host = url.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def from_triton(exc: InferenceServerException, url: str) -> ServerError:
    """What tritonclient raised, as one of our errors."""
    status, text = str(exc.status() or ""), str(exc.message())
    message = reason_of(text)
    if "is restricted" in message:
        return InferenceError(f"the Triton server at {url} is closed to this client: {message}")
    if "UNAVAILABLE" in status and "is not ready" not in message:
        return ServerUnreachableError(
            f"no Triton server answers at {url}; start one with rvm-serve, or check the "
            f"address and the port (it must be the gRPC port): {message}"
        )
    if "DEADLINE_EXCEEDED" in status:
        return ServerSilentError(f"the Triton server at {url} did not answer in time: {message}")
    if "NOT_FOUND" in status or "unknown model" in message or "is not ready" in message:
        return ServerError(f"the Triton server at {url} does not serve the model: {message}")
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
