"""What wire-contract.md says a server does, it does; its requests are what they are said to be."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tests.docs.pages import DOCS, blocks, checked_block, codes, table
from tests.support.faults import FAULTS
from tests.support.protobuf_rows import rows
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from rvm_client import wire
from rvm_client.matte import MattingModel
from rvm_client.server import ServerOptions, TritonServer
from rvm_export.verify.goldens import INT8_CASES

PAGE = DOCS / "wire-contract.md"
ERRORS = {row[0]: row[1:] for row in table(PAGE, "what", "code", "the message has")}
SIZE = (1, 1, 16, 16, 3)
START = {f"r{i}i": np.zeros((1, 1, 1, 1), np.float32) for i in (1, 2, 3, 4)}
INFER = "/inference.GRPCInferenceService/ModelInfer"
Scope = dict[str, Any]


@pytest.fixture(scope="module")
def scope(triton_url: str) -> Iterator[Scope]:
    """What the page's Python has defined."""
    scope: Scope = {}
    for block in blocks(PAGE, language="python"):
        exec(block.text.replace("127.0.0.1:8001", triton_url), scope)
    yield scope
    scope["client"].close()


# --- errors


def request(ratio: float = 1, **changed: Any) -> list[triton.InferInput]:
    """A small request, with other arrays for some of its inputs; None leaves one out."""
    arrays: dict[str, Any] = {
        "src": np.zeros(SIZE, np.uint8),
        **START,
        "downsample_ratio": np.array([ratio], np.float32),
        **changed,
    }
    return [tensor(name, array) for name, array in arrays.items() if array is not None]


def tensor(name: str, array: Any) -> triton.InferInput:
    dtypes = {"uint8": "UINT8", "float32": "FP32", "float16": "FP16"}
    made = triton.InferInput(name, list(array.shape), dtypes[str(array.dtype)])
    made.set_data_from_numpy(array)
    return made


def cut_short() -> list[triton.InferInput]:
    inputs = request()
    inputs[0].set_shape([1, 1, 17, 16, 3])
    return inputs


REFUSED: dict[str, Callable[[Any], Any]] = {
    "a wrong number of dimensions, no 3 channels": lambda client: client.infer(
        wire.MODEL_NAME, request(src=np.zeros((1, 16, 16, 3), np.uint8))
    ),
    "a state of the wrong dtype": lambda client: client.infer(
        wire.MODEL_NAME, request(r1i=np.zeros((1, 1, 1, 1), np.float16))
    ),
    "an input is missing": lambda client: client.infer(
        wire.MODEL_NAME, request(downsample_ratio=None)
    ),
    "the bytes do not fit the shape": lambda client: client.infer(wire.MODEL_NAME, cut_short()),
    "no frames": lambda client: client.infer(
        wire.MODEL_NAME, request(src=np.zeros((1, 0, 16, 16, 3), np.uint8))
    ),
    "a wrong ratio": lambda client: client.infer(wire.MODEL_NAME, request(5)),
    "a ratio that leaves no pixel": lambda client: client.infer(wire.MODEL_NAME, request(0.01)),
    "a state of another size, ratio or B": lambda client: client.infer(
        wire.MODEL_NAME, request(r1i=np.zeros((1, 16, 4, 4), np.float32))
    ),
    "an unknown model": lambda client: client.infer("other", request()),
    "a version that is not served": lambda client: client.infer(
        wire.MODEL_NAME, request(), model_version="99"
    ),
}


def check_row(what: str, attempt: Callable[[], Any]) -> None:
    """The attempt fails as the page says."""
    code, message, _ = ERRORS[what]
    with pytest.raises(InferenceServerException) as failed:
        attempt()
    assert failed.value.status() == f"StatusCode.{code}"
    for part in codes(message):
        assert part in failed.value.message()


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(triton_url: str, what: str) -> None:
    with triton.InferenceServerClient(triton_url) as client:
        check_row(what, lambda: REFUSED[what](client))
        client.infer(wire.MODEL_NAME, request(), client_timeout=60)


def test_an_answer_above_the_client_s_limit(triton_url: str) -> None:
    limit = [("grpc.max_receive_message_length", 4 * 2**20)]
    with triton.InferenceServerClient(triton_url, channel_args=limit) as client:
        large = request(0.25, src=np.zeros((1, 1, 720, 1280, 3), np.uint8))
        check_row(
            "an answer above the client's own limit", lambda: client.infer(wire.MODEL_NAME, large)
        )


def test_what_is_lost(model_repository: Path, backend_cache: Path) -> None:
    options = ServerOptions(model_repository, cache_dir=backend_cache, threads=1, exit_timeout_s=0)
    slow = request(0.5, src=np.zeros((1, 8, 720, 1280, 3), np.uint8))
    with (
        TritonServer.start(options) as server,
        triton.InferenceServerClient(server.grpc_url) as client,
    ):
        infer = client.infer
        check_row(
            "the deadline has passed",
            lambda: infer(wire.MODEL_NAME, slow, client_timeout=0.1),
        )
        # The server works on it all the same: what comes next waits behind it.
        killer = threading.Timer(0.3, FAULTS["server killed"], (server,))
        killer.start()
        check_row(
            "the server ends during a request",
            lambda: infer(wire.MODEL_NAME, slow, client_timeout=60),
        )
        killer.join()
        check_row("no server is there", lambda: infer(wire.MODEL_NAME, request(), client_timeout=9))
    with (
        TritonServer.start(options) as server,
        triton.InferenceServerClient(server.grpc_url) as client,
    ):
        FAULTS["model's process killed"](server)
        check_row(
            "the model's process has died",
            lambda: client.infer(wire.MODEL_NAME, request(), client_timeout=60),
        )


def test_every_error_of_the_page_was_tried() -> None:
    lost = {what for what, row in ERRORS.items() if row[2] == "yes"}
    assert {*ERRORS} - {*REFUSED} - lost == {"an answer above the client's own limit"}
    assert len(lost) == 4


# --- the examples


def test_two_videos_at_once(scope: Scope) -> None:
    """As each alone, with the page's own function."""
    case = INT8_CASES[0]
    two = np.stack([case.src[:2], case.src[2:4]])
    assert [state.shape[0] for state in scope["second"]] == [1] * 4
    _, together, states = scope["matte"](two, scope["start"])
    for i, src in enumerate(two):
        _, alone, own = scope["matte"](src[np.newaxis], scope["start"])
        np.testing.assert_allclose(together[i].astype(int), alone[0].astype(int), rtol=0, atol=1)
        for state, same in zip(states, own, strict=True):
            np.testing.assert_allclose(state[i], same[0], rtol=0, atol=1e-3)


def test_frames_in_shared_memory(scope: Scope) -> None:
    _, pha, _ = scope["matte"](scope["src"], scope["start"], 1)
    np.testing.assert_array_equal(scope["answer"].as_numpy("pha"), pha)


def test_the_json_of_a_request_over_http() -> None:
    """All inputs of the contract."""
    text = checked_block("test_the_json_of_a_request_over_http").text
    assert tuple(tensor["name"] for tensor in json.loads(text)["inputs"]) == wire.INPUTS


def test_a_request_over_http(triton_url: str, triton_http_url: str, tmp_path: Path) -> None:
    """Its alpha is that of a request over gRPC."""
    head = checked_block("test_the_json_of_a_request_over_http").text
    (tmp_path / "request.json").write_text(head)
    script = checked_block("test_a_request_over_http").text
    script = script.replace("127.0.0.1:8000", triton_http_url)
    command = ["bash", "-euo", "pipefail", "-c", script]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    frame = np.frombuffer((tmp_path / "frame.rgb").read_bytes(), np.uint8).reshape(1, 1, 48, 64, 3)
    with MattingModel(triton_url) as model:
        _, pha, _ = model.infer(frame, model.start_states(), 1)
    assert (tmp_path / "alpha.gray").read_bytes() == pha.tobytes()


# --- the bytes


def small_request() -> bytes:
    """The request whose bytes the page shows."""
    message = service_pb2.ModelInferRequest(model_name=wire.MODEL_NAME, model_version="1")
    arrays: dict[str, Any] = {
        "src": np.arange(12, dtype=np.uint8).reshape(1, 1, 2, 2, 3),
        **START,
        "downsample_ratio": np.array([1], np.float32),
    }
    for name, array in arrays.items():
        datatype = "UINT8" if array.dtype == np.uint8 else "FP32"
        message.inputs.add(name=name, datatype=datatype, shape=array.shape)
        message.raw_input_contents.append(array.tobytes())
    return bytes(message.SerializeToString())


def test_the_bytes_of_a_request() -> None:
    shown = rows(small_request(), service_pb2.ModelInferRequest.DESCRIPTOR)
    assert checked_block("test_the_bytes_of_a_request").text == shown


def test_the_bytes_of_an_answer(triton_url: str) -> None:
    """As they come from the server."""
    with grpc.insecure_channel(triton_url) as channel:
        answer = channel.unary_unary(INFER)(small_request(), timeout=60)
    shown = rows(answer, service_pb2.ModelInferResponse.DESCRIPTOR, short="raw_output_contents")
    assert checked_block("test_the_bytes_of_an_answer").text == shown
