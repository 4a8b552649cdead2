"""The Node.js client of examples/node against a real server, and beside the Python client."""

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from tests.support.certificates import Authority
from tests.support.gateway import Gateway, serving
from tests.support.node import copy_example, node_program
from tritonclient.grpc import model_config_pb2, service_pb2

from rvm_client.matte import MattingModel
from rvm_client.server import ServerOptions, TritonServer
from rvm_client.wire import MODEL_NAME
from rvm_export.verify.goldens import INT8_CASES, GoldenCase

FRAMES_PER_REQUEST = 2
ODD = INT8_CASES[-1]
# Prints the protocol as the client's own library reads the .proto file.
DESCRIPTORS = """
import { loadSync } from '@grpc/proto-loader';
const { fileDescriptorProtos } = loadSync('proto/grpc_service.proto', { keepCase: true })[
  'inference.ModelInferRequest'
];
console.log(JSON.stringify(fileDescriptorProtos.map((proto) => proto.toString('base64'))));
"""


@dataclass(frozen=True)
class NodeClient:
    """A copy of the example that can run."""

    folder: Path
    node: str

    def run(self, *arguments: str, frames: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """What a program of Node.js did with its stdin."""
        command = [self.node, *arguments]
        return subprocess.run(
            command, cwd=self.folder, input=frames, capture_output=True, timeout=120
        )

    def matte(
        self, url: str, case: GoldenCase, *flags: str, frames: bytes | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """What matte.mjs did with the frames of a golden case."""
        height, width = case.size
        options = ["--server", url, "--size", f"{width}x{height}", "--wait", "20"]
        options += ["--ratio", str(case.downsample_ratio), "--frames", str(FRAMES_PER_REQUEST)]
        source = case.src.tobytes() if frames is None else frames
        return self.run("matte.mjs", *options, *flags, frames=source)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> NodeClient:
    return NodeClient(copy_example(tmp_path_factory.mktemp("examples") / "node"), node_program())


def python_mattes(url: str, case: GoldenCase) -> tuple[Any, Any]:
    """Foreground [T,H,W,3] and alpha [T,H,W,1] by the Python client, in the same requests."""
    fgrs, phas = [], []
    with MattingModel(url) as model:
        states = model.start_states()
        for start in range(0, len(case.src), FRAMES_PER_REQUEST):
            src = case.src[np.newaxis, start : start + FRAMES_PER_REQUEST]
            fgr, pha, states = model.infer(src, states, case.downsample_ratio)
            fgrs.append(fgr[0])
            phas.append(pha[0])
    return np.concatenate(fgrs), np.concatenate(phas)


@pytest.mark.parametrize("case", INT8_CASES, ids=lambda case: case.name)
def test_alphas_are_those_of_the_python_client(
    client: NodeClient, triton_url: str, case: GoldenCase
) -> None:
    done = client.matte(triton_url, case)
    assert (done.returncode, done.stderr) == (0, b"")
    _, pha = python_mattes(triton_url, case)
    assert done.stdout == pha.tobytes()
    alpha = np.frombuffer(done.stdout, np.uint8).reshape(case.pha.shape)
    # One level: the reference rounds float32 results that differ in their last bits.
    np.testing.assert_allclose(alpha.astype(int), case.pha.astype(int), rtol=0, atol=1)


def test_rgba_has_the_foreground_beside_the_alpha(client: NodeClient, triton_url: str) -> None:
    done = client.matte(triton_url, ODD, "--rgba")
    assert done.returncode == 0, done.stderr
    fgr, pha = python_mattes(triton_url, ODD)
    assert done.stdout == np.concatenate([fgr, pha], axis=-1).tobytes()


def test_what_is_lost_is_sent_again(client: NodeClient, triton_url: str) -> None:
    """In the middle of a video and with its state, as it was."""
    faults = [
        (grpc.StatusCode.UNAVAILABLE, "Socket closed"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"),
        (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"),
        (grpc.StatusCode.INTERNAL, "Stub process 'rvm_mobilenetv3_0_0' is not healthy."),
    ]
    gateway = Gateway(triton_url, faults)
    with serving(gateway) as url:
        done = client.matte(url, ODD)
    assert done.returncode == 0, done.stderr
    assert done.stdout == python_mattes(triton_url, ODD)[1].tobytes()
    first, *_, last = gateway.requests
    assert gateway.requests == [first] * 5 + [last]
    # The version is that of the model, and the same for the whole video.
    assert {request.model_version for request in gateway.requests} == {"1"}


def test_a_server_that_stays_away_is_given_up(client: NodeClient, triton_url: str) -> None:
    gateway = Gateway(triton_url, [(grpc.StatusCode.UNAVAILABLE, "Socket closed")] * 9)
    with serving(gateway) as url:
        done = client.matte(url, ODD, "--wait", "0.8")
    assert done.returncode == 1
    assert len(gateway.requests) == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"matte: no Triton server answers at {url};")


def test_a_server_with_tls_and_a_token(client: NodeClient, triton_url: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.server_context("localhost")
    token = tmp_path / "token"
    token.write_text("secret-of-the-test\n")
    gateway = Gateway(triton_url, header=("triton-grpc-protocol-rvm-token", "secret-of-the-test"))
    with serving(gateway, tmp_path / "localhost.pem") as url:
        tls = ("--ca", str(authority.path))
        done = client.matte(url, ODD, *tls, "--token-file", str(token))
        stranger = client.matte(url, ODD, *tls)
        plain = client.matte(url, ODD, "--token-file", str(token))
        untrusting = client.matte(url, ODD, "--tls", "--token-file", str(token))
    assert done.returncode == 0, done.stderr
    assert done.stdout == python_mattes(triton_url, ODD)[1].tobytes()
    for refused in (stranger, plain, untrusting):
        assert refused.returncode == 1
        (line,) = refused.stderr.decode().splitlines()
        assert "secret" not in line
    assert b"restricted" in stranger.stderr


def test_a_float16_model_gets_float16_states(
    client: NodeClient, half_model_repository: Path, backend_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / MODEL_NAME).symlink_to(half_model_repository / MODEL_NAME)
    options = ServerOptions(tmp_path, cache_dir=backend_cache, threads=1, exit_timeout_s=0)
    with TritonServer.start(options) as server:
        done = client.matte(server.grpc_url, ODD)
        assert done.returncode == 0, done.stderr
        assert done.stdout == python_mattes(server.grpc_url, ODD)[1].tobytes()


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--server", "127.0.0.1:9"], 1, "no Triton server answers at 127.0.0.1:9; start one"),
        (["--server", "nowhere.invalid:1"], 1, "no Triton server answers at nowhere.invalid:1;"),
        (["--ratio", "5"], 1, "refused the request: downsample_ratio is 5.; it must be above 0"),
        (["--size", "100x100"], 1, "the input ends within a frame: "),
        (["--size", "100"], 2, "--size is 100; give WIDTHxHEIGHT in pixels"),
        (["--frames", "none"], 2, "--frames is none; give a number above 0"),
        (["--colour"], 2, "Unknown option '--colour'"),
        (["--input", "missing.rgb"], 1, "no such file or directory, open 'missing.rgb'"),
    ],
)
def test_a_failure_is_one_line(
    client: NodeClient, triton_url: str, flags: list[str], status: int, message: str
) -> None:
    done = client.matte(triton_url, ODD, *flags)
    assert done.returncode == status
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("matte: ")
    assert message in line


def test_the_protocol_is_that_of_triton(client: NodeClient) -> None:
    """Every name, number, kind and type of the .proto file is Triton's own."""
    done = client.run("--input-type=module", "--eval", DESCRIPTORS)
    assert done.returncode == 0, done.stderr
    ours = [
        descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text))
        for text in json.loads(done.stdout)
    ]
    theirs = descriptor_pb2.FileDescriptorProto()
    service_pb2.DESCRIPTOR.CopyToProto(theirs)
    config = descriptor_pb2.FileDescriptorProto()
    model_config_pb2.DESCRIPTOR.CopyToProto(config)
    (proto,) = [file for file in ours if file.package == theirs.package]
    messages = {message.name: message for message in (*config.message_type, *theirs.message_type)}
    assert len(proto.message_type) == 8
    for message in proto.message_type:
        assert_within(message, messages[message.name])
    (service,), (known,) = proto.service, theirs.service
    assert service.name == known.name
    methods = {method.name: method for method in known.method}
    used = ["ModelMetadata", "ModelConfig", "ModelInfer"]
    assert [method.name for method in service.method] == used
    for method in service.method:
        same = methods[method.name]
        assert type_name(method.input_type) == type_name(same.input_type)
        assert type_name(method.output_type) == type_name(same.output_type)


def assert_within(ours: Any, theirs: Any) -> None:
    """A message's fields, and those of the messages in it, are among Triton's."""
    known = {field.name: field for field in theirs.field}
    assert ours.field
    for field in ours.field:
        same = known[field.name]
        assert (field.number, field.type, field.label) == (same.number, same.type, same.label)
        assert type_name(field.type_name) == type_name(same.type_name)
    nested = {type_name(message.name): message for message in theirs.nested_type}
    for message in ours.nested_type:
        assert_within(message, nested[type_name(message.name)])


def type_name(name: str) -> str:
    """The name of a type without that of its package, however a map's entries are called."""
    return name.rpartition(".")[2].removesuffix("Entry")
