"""A server that starts in the background: ready when asked, gone when nobody waits for it."""

import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import tritonclient.grpc as triton

from rvm_client.errors import ConfigError
from rvm_client.server import ServerOptions, StartingServer


def servers() -> list[psutil.Process]:
    """Triton servers that descend from this process."""
    return [p for p in psutil.Process().children(recursive=True) if p.name() == "tritonserver"]


def test_it_is_ready_when_asked_and_stops_at_the_end(echo_options: ServerOptions) -> None:
    with StartingServer(echo_options) as starting:
        server = starting.ready()
        with triton.InferenceServerClient(server.grpc_url) as client:
            assert client.is_server_ready()
    assert server.poll() is not None


def test_whoever_gives_up_does_not_wait_and_leaves_nothing(echo_options: ServerOptions) -> None:
    before = servers()
    with StartingServer(echo_options):
        while servers() == before:
            time.sleep(0.01)
    assert servers() == before


def test_what_went_wrong_comes_when_the_server_is_asked_for(
    echo_options: ServerOptions, tmp_path: Path
) -> None:
    options = replace(echo_options, model_repository=tmp_path)
    with (
        StartingServer(options) as starting,
        pytest.raises(ConfigError, match=r"no config\.pbtxt"),
    ):
        starting.ready()
