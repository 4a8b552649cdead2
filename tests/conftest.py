"""What tests of several folders share: the weights, an exported model, a server of it."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rvm_client.server import ServerOptions, TritonServer
from rvm_export.cache import sha256_of
from rvm_export.config_pbtxt import packaged_folder
from rvm_export.contract import Layout
from rvm_export.npm import INT8_SHA256
from rvm_export.repository import Repository
from rvm_export.settings import cache_folder
from rvm_export.weights import Source, Weights, fetch_weights

ROOT = Path(__file__).parents[1]

# Shells start background jobs with Ctrl-C ignored, and programs inherit that: those under test
# must not, whichever way the tests were started.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def weights() -> Weights:
    """The int8 release, got the way a user gets it: from the cache, else with npm."""
    return fetch_weights(cache_folder() / "weights", print, Source.INT8)


@pytest.fixture(scope="session")
def model_repository(weights: Weights) -> Path:
    """A repository with the real model as version 1, kept in the cache for the next run.

    It is made again when the export's code, the PyTorch version or the weights change. Tests
    must not write to it.
    """
    return _exported(weights, (Layout.RGB,))


@pytest.fixture(scope="session")
def yuv_model_repository(weights: Weights) -> Path:
    """As `model_repository`, with the model for YUV beside the one for RGB."""
    return _exported(weights, tuple(Layout))


@pytest.fixture(scope="session")
def backend_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the embedded server's backends are prepared, once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def triton_url(model_repository: Path, backend_cache: Path) -> Iterator[str]:
    """HOST:PORT of a running server of the real model, for tests that leave it running."""
    options = ServerOptions(model_repository, cache_dir=backend_cache)
    with TritonServer.start(options) as server:
        yield server.grpc_url


def _exported(weights: Weights, layouts: tuple[Layout, ...]) -> Path:
    name = "-".join([_export_key(weights), *(layout.value for layout in layouts)])
    path = cache_folder() / "test-repositories" / name
    for layout in layouts:
        repository = Repository(path, layout)
        if not repository.versions():
            rvm_json = cache_folder() / "weights" / "rvm.json"
            command = ["export", f"--checkpoint={rvm_json}", f"--repository={path}", "--version=1"]
            # Another test run may be faster: then there is a version 1 already.
            subprocess.run(
                [sys.executable, "-m", "rvm_export", *command, f"--layout={layout.value}"],
                check=False,
            )
        assert repository.versions() == [1]
    return path


def _export_key(weights: Weights) -> str:
    digest = hashlib.sha256(f"{torch.__version__} {weights.sha256} {INT8_SHA256}".encode())
    sources = [
        *(ROOT / "export").rglob("*.py"),
        *(packaged_folder(layout) / "config.pbtxt" for layout in Layout),
    ]
    for source in sorted(sources):
        digest.update(sha256_of(source).encode())
    return digest.hexdigest()[:16]
