"""A server that listens at more than loopback: what others may do, and what this machine may."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http
from tests.support.servers import shared_server
from tritonclient.utils import InferenceServerException

from rvm_client.frames import SourceChunk
from rvm_client.matte import ChunkShape, MattingModel
from rvm_client.server import ServerOptions, TritonServer


@pytest.fixture(scope="module")
def exposed(echo_options: ServerOptions) -> Iterator[TritonServer]:
    with shared_server(replace(echo_options, host="0.0.0.0", exit_timeout_s=0)) as server:
        yield server


DOORS: dict[str, Callable[[Any], Any]] = {
    "regions": lambda client: client.get_system_shared_memory_status(),
    "register": lambda client: client.register_system_shared_memory("x", "/x", 1),
    "unregister all": lambda client: client.unregister_system_shared_memory(),
    "CUDA regions": lambda client: client.unregister_cuda_shared_memory(),
    "models": lambda client: client.get_model_repository_index(),
    "load": lambda client: client.load_model("rvm_mobilenetv3"),
    "unload": lambda client: client.unload_model("rvm_mobilenetv3"),
    "log": lambda client: client.update_log_settings({"log_info": False}),
    "trace": lambda client: client.get_trace_settings(),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_stranger_finds_the_door_closed(exposed: TritonServer, door: str) -> None:
    with (
        triton.InferenceServerClient(f"127.0.0.1:{exposed.ports.grpc}") as client,
        pytest.raises(InferenceServerException, match="is restricted"),
    ):
        DOORS[door](client)
    with (
        triton_http.InferenceServerClient(f"127.0.0.1:{exposed.ports.http}") as client,
        pytest.raises(InferenceServerException, match="is restricted"),
    ):
        DOORS[door](client)


def transport_name(url: str) -> str:
    with MattingModel(url) as model, model.session(0.25, ChunkShape(1, 64, 64)) as session:
        chunk = SourceChunk(np.zeros((1, 64, 64, 3), np.uint8), (0,))
        assert session.matte(next(session.staged([chunk]))).pha.shape == (1, 64, 64)
        return session.transport_name


def test_programs_of_this_machine_share_memory(exposed: TritonServer) -> None:
    assert transport_name(exposed.grpc_url) == "shared memory"


def test_who_has_no_key_sends_messages(
    exposed: TritonServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert transport_name(exposed.grpc_url) == "gRPC"


def test_the_key_is_its_user_s_alone_and_goes_with_the_server(echo_options: ServerOptions) -> None:
    with shared_server(replace(echo_options, host="0.0.0.0", exit_timeout_s=0)) as server:
        (file,) = Path(tempfile.gettempdir()).glob(f"rvm-triton-*/{server.ports.grpc}.key")
        assert file.stat().st_mode & 0o777 == 0o600
    assert not file.exists()
