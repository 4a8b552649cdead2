"""Real Triton servers for the tests, with a model that takes no time to make."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.echo_model import write_repository
from tests.support.servers import shared_server

from rvm_client.server import ServerOptions, TritonServer


@pytest.fixture(scope="session")
def echo_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with the committed config.pbtxt and `EchoModel` as version 1."""
    return write_repository(tmp_path_factory.mktemp("echo") / "repository")


@pytest.fixture(scope="session")
def echo_options(echo_repository: Path, backend_cache: Path) -> ServerOptions:
    """Options for a server of `EchoModel`."""
    return ServerOptions(echo_repository, cache_dir=backend_cache, threads=1)


@pytest.fixture(scope="session")
def echo_server(echo_options: ServerOptions) -> Iterator[TritonServer]:
    """A running server of `EchoModel`, for tests that leave it running."""
    with shared_server(replace(echo_options, exit_timeout_s=0)) as server:
        yield server


@pytest.fixture
def unused_port() -> int:
    """A port of loopback at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
