"""Finds a Triton server on this machine and makes it ready to serve `backend: "pytorch"`.

Two kinds. An installed one (NVIDIA's image) has its own PyTorch backend and is used as it is.
The embedded one comes with the package nvidia-pytriton: it only has the Python backend, so a
backend folder is prepared where our `backends/pytorch/model.py` takes the other's place.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from rvm_client.errors import ConfigError
from rvm_client.owned import OwnedFolder

INSTALLED_BINARY = Path("/opt/tritonserver/bin/tritonserver")
OWN_BACKEND = Path(__file__).parent / "backends" / "pytorch" / "model.py"
EMBEDDED_HINT = "install it with: pip install 'rvm-triton[embedded]'"


@dataclass(frozen=True)
class TritonInstall:
    """A Triton server that can be started."""

    binary: Path
    backends: Path  # folder with one folder per backend
    library_folders: tuple[Path, ...]  # for LD_LIBRARY_PATH
    embedded: bool


def find_triton(binary: Path | None, cache_folder: Path | None) -> TritonInstall:
    """The server to start: the one asked for, else an installed one, else the embedded one.

    Args:
        binary: a `tritonserver` binary, or None to look for one.
        cache_folder: where the embedded server's backends are prepared; None: the user's cache.

    Raises:
        ConfigError: there is none, or it lacks what it needs; the message says what to do.
    """
    if binary is not None:
        return installed_triton(binary)
    on_path = shutil.which("tritonserver")
    for candidate in (Path(on_path) if on_path else INSTALLED_BINARY, INSTALLED_BINARY):
        if has_pytorch_backend(backends_of(candidate)):
            return installed_triton(candidate)
    return embedded_triton(cache_folder)


def installed_triton(binary: Path) -> TritonInstall:
    """A server installed with its own PyTorch backend.

    Raises:
        ConfigError: it is not there, or has no PyTorch backend.
    """
    if not os.access(binary, os.X_OK) or binary.is_dir():
        raise ConfigError(f"{binary} is not a tritonserver binary that can be run")
    backends = backends_of(binary)
    if not has_pytorch_backend(backends):
        raise ConfigError(f"the Triton server {binary} has no PyTorch backend in {backends}")
    return TritonInstall(binary.resolve(), backends, (), embedded=False)


def backends_of(binary: Path) -> Path:
    """Where an installation keeps its backends: `<root>/backends` for `<root>/bin/tritonserver`."""
    return binary.resolve().parent.parent / "backends"


def has_pytorch_backend(backends: Path) -> bool:
    """Whether a folder of backends has one for `backend: "pytorch"`, native or Python-based."""
    names = ("libtriton_pytorch.so", "model.py")
    return any((backends / "pytorch" / name).is_file() for name in names)


def embedded_triton(cache_folder: Path | None) -> TritonInstall:
    """The server inside the installed nvidia-pytriton package, its backends prepared.

    Raises:
        ConfigError: the package or something that it needs is missing.
    """
    package = embedded_package()
    check_python_packages()
    library_folders = (package.parent.parent / "nvidia_pytriton.libs", *libpython_folders())
    prepared = prepare_backends(package, cache_folder)
    binary = package / "bin" / "tritonserver"
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    return TritonInstall(binary, prepared, library_folders, embedded=True)


def embedded_package() -> Path:
    """The folder of nvidia-pytriton that holds Triton.

    Raises:
        ConfigError: it is not installed, or made for another Python.
    """
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise ConfigError(f"there is no Triton server on this machine; {EMBEDDED_HINT}")
    package = Path(spec.origin).parent / "tritonserver"
    if not stub_of(package).is_file():
        minor = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise ConfigError(
            f"the embedded Triton server has no part for Python {minor} on this machine; "
            "use Linux on x86-64 with Python 3.11 or 3.12"
        )
    return package


def stub_of(package: Path) -> Path:
    """The program of Triton's Python backend that embeds the running minor version of Python."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    return package / "python_backend_stubs" / minor / "triton_python_backend_stub"


def check_python_packages() -> None:
    """Make sure that the embedded server's PyTorch backend can run.

    Raises:
        ConfigError: torch is missing, or numpy is a version that Triton cannot work with.
    """
    if importlib.util.find_spec("torch") is None:
        raise ConfigError(f"the embedded Triton server needs PyTorch; {EMBEDDED_HINT}")
    numpy_version = importlib.metadata.version("numpy")
    if int(numpy_version.split(".")[0]) >= 2:
        # With numpy 2 this Triton's Python backend returns tensors of length zero, silently.
        raise ConfigError(
            f"the embedded Triton server needs numpy 1, numpy {numpy_version} is installed; "
            f"{EMBEDDED_HINT}"
        )


def libpython_folders() -> tuple[Path, ...]:
    """The folder of the shared libpython that the Python backend embeds.

    Raises:
        ConfigError: it is nowhere; Debian's and Ubuntu's python3 works without it.
    """
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"libpython{minor}.so.1.0"
    for folder in libpython_candidates():
        if (folder / name).is_file():
            return (folder,)
    raise ConfigError(
        f"the embedded Triton server needs {name}, which this Python comes without; "
        f"install the package libpython{minor} (Debian, Ubuntu: apt-get install libpython{minor})"
    )


def libpython_candidates() -> list[Path]:
    """Where a shared libpython may lie, the running interpreter's own first."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    folders = [
        Path(sys.base_prefix) / "lib",
        Path(sysconfig.get_config_var("LIBDIR") or sys.base_prefix),
        Path("/usr/lib") / multiarch,
        Path("/lib") / multiarch,
        Path("/usr/local/lib"),
        Path("/usr/lib64"),
        Path("/usr/lib"),
    ]
    return list(dict.fromkeys(folders))


def prepare_backends(package: Path, cache_folder: Path | None) -> Path:
    """A backend folder for the embedded server, made once and then found again.

    Copies, because Triton refuses backends that are links to another folder. The name holds
    everything that the content depends on, and the folder appears whole or not at all, so any
    number of processes may do this at the same time.

    Raises:
        ConfigError: the cache folder cannot be written.
    """
    root = cache_folder or platformdirs.user_cache_path("rvm-triton")
    prepared = root / "triton-backends" / backends_key()
    if prepared.is_dir():
        return prepared
    try:
        prepared.parent.mkdir(parents=True, exist_ok=True)
        with OwnedFolder(".new", prepared.parent) as scratch:
            copy_backends(package, scratch.path / "backends")
            publish(scratch.path / "backends", prepared)
    except OSError as exc:
        raise ConfigError(
            f"the folder {prepared.parent} cannot be written ({exc.strerror}); "
            "set another cache folder"
        ) from exc
    return prepared


def backends_key() -> str:
    """A name for the prepared content: Triton's version, Python's version, our backend's hash."""
    version = importlib.metadata.version("nvidia-pytriton")
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(OWN_BACKEND.read_bytes()).hexdigest()[:12]
    return f"{version}-py{minor}-{digest}"


def copy_backends(package: Path, target: Path) -> None:
    """Copy the Python backend with the right stub, and our PyTorch backend."""
    python, pytorch = target / "python", target / "pytorch"
    shutil.copytree(
        package / "backends" / "python", python, ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(stub_of(package), python)
    (python / "triton_python_backend_stub").chmod(0o755)
    pytorch.mkdir()
    shutil.copy(OWN_BACKEND, pytorch)


def publish(source: Path, target: Path) -> None:
    """Rename a finished folder into place; if another process was faster, its folder stays."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
