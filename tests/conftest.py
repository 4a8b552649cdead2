"""What tests of several folders share: the weights, an exported model, a server of it."""

import contextlib
import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.support.commands import invoke
from tests.support.repositories import without_warm_up
from tests.support.servers import shared_server

from rvm_client.server import ServerOptions, TritonServer
from rvm_export.cli import main as rvm_export
from rvm_export.config import cache_folder
from rvm_export.hashes import sha256_of
from rvm_export.repository.config_pbtxt import packaged_folder
from rvm_export.repository.repository import Repository
from rvm_export.verify.goldens import RESNET50_SEED, SEED
from rvm_export.verify.verification import seeded_network
from rvm_export.weights.npm import INT8_SHA256
from rvm_export.weights.weights import Source, Weights, fetch_weights
from rvm_export.wire import KINDS, ONNX_KINDS, Format, Layout, ModelKind, Precision, Variant

ROOT = Path(__file__).parents[1]

# Shells start background jobs with Ctrl-C ignored, nohup its programs with SIGHUP, and programs
# inherit that: those under test must not, whichever way the tests were started.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


# The modules that take longest, the longest first: processes of pytest-xdist take a module each,
# and one that began a long one last would let the others wait. Measured, with `--junitxml`.
LONGEST = (
    "integration/test_worker.py",
    "integration/test_rollout.py",
    "container/test_start.py",
    "export/cli/test_cli.py",
    "integration/test_server.py",
    "bench/test_gpu_check.py",
    "integration/test_lost_server.py",
    "integration/test_warm_start.py",
    "docs/test_blocks.py",
    "integration/test_cluster.py",
)
# Then modules that wait for servers and processes. Folders that are not named come before them.
FOLDERS = ("integration", "container", "export", "contract", "browser", "client")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long modules first."""

    def rank(item: pytest.Item) -> tuple[int, int]:
        path = item.path.relative_to(ROOT / "tests")
        name, folder = path.as_posix(), path.parts[0]
        return (
            LONGEST.index(name) if name in LONGEST else len(LONGEST),
            FOLDERS.index(folder) if folder in FOLDERS else -1,
        )

    items.sort(key=rank)


@pytest.fixture(scope="session")
def weights() -> Weights:
    """The int8 release, got the way a user gets it: from the cache, else with npm."""
    return fetch_weights(cache_folder() / "weights", print, Source.INT8)


@pytest.fixture(scope="session")
def rvm_json(weights: Weights) -> Path:
    """The file that `weights` are read from."""
    assert weights.are_int8_release
    return cache_folder() / "weights" / "rvm.json"


@pytest.fixture(scope="session")
def official_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the official keys, its weights drawn from a seed."""
    path = tmp_path_factory.mktemp("official") / "rvm_mobilenetv3.pth"
    torch.save(seeded_network(SEED).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def resnet50_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `official_checkpoint`, of the ResNet50 variant: 108 MB."""
    path = tmp_path_factory.mktemp("resnet50") / "rvm_resnet50.pth"
    torch.save(seeded_network(RESNET50_SEED, Variant.RESNET50).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def model_repository(rvm_json: Path) -> Path:
    """A repository with the real model as version 1, kept in the cache for the next run.

    It is made again when the export's code, the PyTorch version or the weights change. Tests
    must not write to it.
    """
    return _exported(rvm_json, (Layout.RGB,))


@pytest.fixture(scope="session")
def yuv_model_repository(rvm_json: Path) -> Path:
    """As `model_repository`, with the model for YUV beside the one for RGB."""
    return _exported(rvm_json, tuple(Layout))


@pytest.fixture(scope="session")
def half_model_repository(official_checkpoint: Path) -> Path:
    """As `yuv_model_repository`, of the seeded checkpoint and in float16."""
    return _exported(official_checkpoint, tuple(Layout), Precision.FP16)


@pytest.fixture(scope="session")
def both_variants_repository(model_repository: Path, resnet50_checkpoint: Path) -> Path:
    """As `model_repository`, with a ResNet50 of seeded weights beside the real model."""
    path = _exported(resnet50_checkpoint, (Layout.RGB,), variant=Variant.RESNET50)
    with contextlib.suppress(FileExistsError):
        (path / ModelKind().name).symlink_to(model_repository / ModelKind().name)
    return path


@pytest.fixture(scope="session")
def onnx_model_repository(rvm_json: Path) -> Path:
    """As `model_repository`, of the real model as ONNX."""
    return _exported(rvm_json, (Layout.RGB,), format_=Format.ONNX)


@pytest.fixture(scope="session")
def backend_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the embedded server's backends are prepared, once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def triton_server(model_repository: Path, backend_cache: Path) -> Iterator[TritonServer]:
    """A running server of the real model, for tests that leave it running."""
    options = ServerOptions(model_repository, cache_dir=backend_cache, threads=1, exit_timeout_s=0)
    with shared_server(options) as server:
        yield server


@pytest.fixture(scope="session")
def triton_url(triton_server: TritonServer) -> str:
    """HOST:PORT of the server's gRPC endpoint."""
    return triton_server.grpc_url


@pytest.fixture(scope="session")
def triton_http_url(triton_server: TritonServer) -> str:
    """HOST:PORT of the server's HTTP endpoint."""
    return triton_server.http_url


def _exported(
    checkpoint: Path,
    layouts: tuple[Layout, ...],
    precision: Precision = Precision.FP32,
    variant: Variant = Variant.MOBILENETV3,
    format_: Format = Format.TORCHSCRIPT,
) -> Path:
    parts = [_export_key(), checkpoint.stem, precision.value, *(layout.value for layout in layouts)]
    parts += [format_.value] * (format_ is Format.ONNX)
    path = cache_folder() / "test-repositories" / "-".join(parts)
    for layout in layouts:
        repository = Repository(path, ModelKind(variant, layout, format_))
        if not repository.versions():
            where = ("--checkpoint", checkpoint, "--repository", path, "--version", 1)
            what = ("--layout", layout.value, "--precision", precision.value)
            kind = ("--variant", variant.value, "--format", format_.value)
            made = invoke(rvm_export, "export", *kind, *where, *what)
            # The export waits for others that write there. Whoever was faster, a worker of this
            # run or another run, has made version 1, and then this one is refused.
            assert repository.versions() == [1], made.output
        # No server of the tests loads ONNX.
        if format_ is not Format.ONNX:
            without_warm_up(repository.model_folder / "config.pbtxt")
    return path


# What a version is made by; the other rooms do something with it.
_MAKING = ("network", "onnx", "repository", "script", "verify", "weights")


def _export_key() -> str:
    digest = hashlib.sha256(f"{torch.__version__} {INT8_SHA256}".encode())
    package = ROOT / "export" / "rvm_export"
    sources = [
        *package.glob("*.py"),
        *(path for room in _MAKING for path in (package / room).rglob("*.py")),
        *(packaged_folder(kind) / "config.pbtxt" for kind in (*KINDS, *ONNX_KINDS)),
    ]
    for source in sorted(sources):
        digest.update(sha256_of(source).encode())
    return digest.hexdigest()[:16]
