"""`rvm-serve` with TLS and a token, each door of it, from an address that is not loopback's."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tests.support.certificates import Authority, self_signed_file
from tests.support.clips import read_frames, write_clip
from tests.support.commands import invoke
from tests.support.own_address import own_address
from tritonclient.utils import InferenceServerException

from rvm_client import AccessError, AsyncMattingSession, MattingSession, ServerUnreachableError
from rvm_client.cli.matte import matte
from rvm_client.frames import SourceChunk
from rvm_client.matte import ChunkShape, MattingModel, probe_within
from rvm_client.matte.endpoint import Credentials
from rvm_client.server import ServerOptions, Supervisor, TritonServer, token_header
from rvm_client.server.doors import Certificate

TOKEN = "the-token-of-this-test="
SERVE = "from rvm_client.cli.serve import main; main()"
FRAME = np.zeros((32, 32, 3), np.uint8)


@dataclass(frozen=True)
class Served:
    """A server for others, and what they need."""

    address: str
    """The one of this machine that is not loopback."""
    ports: dict[str, int]
    """By the names in the line that says "ready"."""
    ca_file: Path

    @property
    def url(self) -> str:
        """Its gRPC, for others."""
        return f"{self.address}:{self.ports['gRPC']}"

    @property
    def local_url(self) -> str:
        """Its gRPC, for programs of this machine."""
        return f"127.0.0.1:{self.ports['gRPC']}"

    @property
    def trusted(self) -> Credentials:
        """Those of a client that may come in."""
        return Credentials(TOKEN, self.ca_file)

    def client(self) -> triton.InferenceServerClient:
        """Triton's own client at the other address."""
        return triton.InferenceServerClient(self.url, ssl=True, root_certificates=str(self.ca_file))


@pytest.fixture(scope="module")
def served(
    echo_options: ServerOptions, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """`rvm-serve` itself, with the flags of a server for others."""
    folder, address = tmp_path_factory.mktemp("served"), own_address()
    authority = Authority(folder)
    certificate = authority.server_file("matte.example", address)
    (folder / "token").write_text(f"{TOKEN}\n")
    flags = {
        "--host": "0.0.0.0",
        "--tls-certificate": certificate,
        "--tls-key": certificate,
        "--token-file": folder / "token",
        "--model-repository": echo_options.model_repository,
        **dict.fromkeys(("--grpc-port", "--http-port", "--metrics-port"), 0),
    }
    command = [sys.executable, "-c", SERVE, *(f"{flag}={value}" for flag, value in flags.items())]
    environment = os.environ | {"RVM_CACHE_DIR": str(echo_options.cache_dir)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = process.stdout.readline()
        ports = {name: int(port) for name, port in re.findall(r"(\w+) 127\.0\.0\.1:(\d+)", ready)}
        yield Served(address, ports, authority.path)
        process.terminate()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ""


# --- gRPC, from elsewhere

CONTROL: dict[str, Callable[[Any, Any], Any]] = {
    "regions": lambda client, h: client.get_system_shared_memory_status(headers=h),
    "register": lambda client, h: client.register_system_shared_memory("x", "/x", 1, headers=h),
    "unregister all": lambda client, h: client.unregister_system_shared_memory(headers=h),
    "CUDA regions": lambda client, h: client.unregister_cuda_shared_memory(headers=h),
    "models": lambda client, h: client.get_model_repository_index(headers=h),
    "load": lambda client, h: client.load_model("rvm_mobilenetv3", headers=h),
    "unload": lambda client, h: client.unload_model("rvm_mobilenetv3", headers=h),
    "log": lambda client, h: client.update_log_settings({"log_info": False}, headers=h),
    "trace": lambda client, h: client.get_trace_settings(headers=h),
}
TOKENS = {"no token": None, "another token": TOKEN[:-1], "an empty token": ""}
OF_THE_TOKEN: dict[str, Callable[[Any, Any], Any]] = {
    "live": lambda client, h: client.is_server_live(headers=h),
    "model ready": lambda client, h: client.is_model_ready("rvm_mobilenetv3", headers=h),
    "metadata": lambda client, h: client.get_model_metadata("rvm_mobilenetv3", headers=h),
    "config": lambda client, h: client.get_model_config("rvm_mobilenetv3", headers=h),
    "statistics": lambda client, h: client.get_inference_statistics(headers=h),
    "inference": lambda client, h: client.infer("rvm_mobilenetv3", [], headers=h),
}


def headers(token: str | None) -> dict[str, str] | None:
    return None if token is None else token_header(token)


@pytest.mark.parametrize("door", CONTROL)
def test_the_token_opens_no_control_endpoint(served: Served, door: str) -> None:
    with (
        served.client() as client,
        pytest.raises(InferenceServerException, match="is restricted"),
    ):
        CONTROL[door](client, headers(TOKEN))


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("door", OF_THE_TOKEN)
def test_without_the_token_nothing_is_told(served: Served, door: str, token: str | None) -> None:
    with (
        served.client() as client,
        pytest.raises(InferenceServerException, match="is restricted"),
    ):
        OF_THE_TOKEN[door](client, headers(token))


@pytest.mark.parametrize("token", [None, TOKEN[:-1]], ids=["no token", "another token"])
def test_our_client_says_that_it_may_not_come_in(served: Served, token: str | None) -> None:
    with pytest.raises(AccessError, match="no token or not the right one"):
        MattingModel(served.url, credentials=Credentials(token, served.ca_file))


def test_a_request_that_may_not_come_in_is_sent_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the token changes during a video: a server that says so is not waited for."""
    with (
        MattingModel(served.url, credentials=served.trusted) as model,
        model.session(0.25, ChunkShape(1, 32, 32)) as session,
    ):
        sent, connection, infer = [], model.connection, model.connection.infer

        def counting(request: Any, *arguments: Any) -> Any:
            sent.append(request)
            return infer(request, *arguments)

        monkeypatch.setattr(connection, "_headers", headers(TOKEN[:-1]))
        monkeypatch.setattr(connection, "infer", counting)
        with pytest.raises(AccessError):
            session.matte(next(session.staged([SourceChunk(FRAME[None], (0,))])))
        assert len(sent) == 1


def test_plain_text_is_not_understood(served: Served) -> None:
    with pytest.raises(ServerUnreachableError):
        MattingModel(served.url, credentials=Credentials(TOKEN))


def test_a_server_that_is_not_trusted_gets_no_token(served: Served, tmp_path: Path) -> None:
    for tls in (True, Authority(tmp_path).path):
        with pytest.raises(AccessError, match="is not trusted"):
            MattingModel(served.url, credentials=Credentials(TOKEN, tls))


def test_a_certificate_for_another_name(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the file of this machine's servers, loopback is a name like any other.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(AccessError, match="another name"):
        MattingModel(served.local_url, credentials=served.trusted)


# --- HTTP and metrics


@pytest.mark.parametrize("name", ["HTTP", "metrics"])
def test_other_ports_are_closed_to_other_addresses(served: Served, name: str) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((served.address, served.ports[name]), timeout=10)
    socket.create_connection(("127.0.0.1", served.ports[name]), timeout=10).close()


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        return exc.code


def test_http_asks_for_the_token_too(served: Served) -> None:
    root, token = f"http://127.0.0.1:{served.ports['HTTP']}/v2", {"rvm-token": TOKEN}
    assert status(f"{root}/health/ready") == 200
    for path in ("models/rvm_mobilenetv3", "models/rvm_mobilenetv3/config", "models/stats"):
        assert status(f"{root}/{path}") == 403
        assert status(f"{root}/{path}", **token) == 200
    assert status(f"{root}/systemsharedmemory/status", **token) == 403


# --- who may come in


def test_a_session_from_elsewhere(served: Served) -> None:
    with MattingSession(served.url, token=TOKEN, tls=str(served.ca_file)) as session:
        assert len([*session.matte([FRAME, FRAME])]) == 2


def test_an_asynchronous_session_from_elsewhere(served: Served) -> None:
    async def count() -> int:
        async with AsyncMattingSession(served.url, token=TOKEN, tls=served.ca_file) as session:
            return len([matte async for matte in session.matte([FRAME, FRAME])])

    assert asyncio.run(count()) == 2


def test_the_command_from_elsewhere(served: Served, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [FRAME] * 5)
    target = tmp_path / "out.mp4"
    environment = {"RVM_TRITON_TOKEN": TOKEN, "RVM_TRITON_CA_FILE": str(served.ca_file)}
    done = invoke(matte, clip, "-o", target, "--triton-url", served.url, **environment)
    assert done.exit_code == 0, done.output
    assert len([*read_frames(target)]) == 5
    refused = invoke(
        matte, clip, "-o", target, "--triton-url", served.url,
        **{**environment, "RVM_TRITON_TOKEN": TOKEN[:-1]},
    )  # fmt: skip
    assert refused.exit_code == AccessError.exit_code
    assert "no token or not the right one" in refused.stderr
    assert TOKEN[:-1] not in refused.output


def transport_name(url: str) -> str:
    with MattingModel(url) as model, model.session(0.25, ChunkShape(1, 32, 32)) as session:
        session.matte(next(session.staged([SourceChunk(FRAME[None], (0,))])))
        return session.transport_name


def test_programs_of_this_machine_come_in_by_themselves(served: Served, tmp_path: Path) -> None:
    assert transport_name(served.local_url) == "shared memory"
    clip, target = write_clip(tmp_path / "clip.mp4", [FRAME] * 5), tmp_path / "out.mp4"
    done = invoke(matte, clip, "-o", target, "--triton-url", served.local_url)
    assert done.exit_code == 0, done.output
    with MattingSession(served.local_url) as session:
        assert len([*session.matte([FRAME])]) == 1
    # What keeps the server does it, too.
    probe_within(10)(served.local_url, lambda: False)


def test_a_server_at_one_address_with_a_certificate_that_signed_itself(
    echo_options: ServerOptions, tmp_path: Path
) -> None:
    address = own_address()
    file = self_signed_file(tmp_path, "matte.example", address)
    options = replace(
        echo_options,
        host=address,
        http_host=address,
        metrics_host=address,
        exit_timeout_s=0,
        token=TOKEN,
        certificate=Certificate.read(file, file),
    )
    with (
        TritonServer.start(options) as first,
        Supervisor(first, probe_within(10)) as supervisor,
    ):
        assert first.grpc_url == f"{address}:{first.ports.grpc}"
        assert transport_name(first.grpc_url) == "shared memory"
        assert status(f"http://{first.http_url}/v2/models/rvm_mobilenetv3") == 403
        assert status(f"http://{first.metrics_url}/metrics") == 200
        again = supervisor.replacement(supervisor.address, lambda: False)
        assert (again.url, again.generation) == (first.grpc_url, 1)
        assert transport_name(again.url) == "shared memory"
