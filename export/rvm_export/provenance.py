"""With what a version is made: for its manifest, and to make it again."""

import hashlib
import platform
from importlib import metadata
from pathlib import Path

import torch

from rvm_export import onnx
from rvm_export.wire import Format

# Of the Triton that the Dockerfile names: "LibTorch is 2.8.0a0".
SERVER_TORCH, NEXT_TORCH = "2.8", "2.9"

# What decides what is in a model file. All other code may change without changing a file.
_SOURCES = ("network", "weights", "wire.py")
_WRITERS = {Format.TORCHSCRIPT: "script", Format.ONNX: "onnx"}


def code_sha256(format_: Format) -> str:
    """The hash of the sources that decide what is in a model file of that format."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for name in (*_SOURCES, _WRITERS[format_]):
        path = package / name
        for source in [path] if path.is_file() else sorted(path.glob("*.py")):
            digest.update(source.relative_to(package).as_posix().encode())
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


def newer_than_server() -> str | None:
    """A sentence where PyTorch here is newer than that of the image's Triton, else None."""
    if torch.__version__ < NEXT_TORCH:
        return None
    return (
        f"Note: PyTorch here is {torch.__version__}, that of the image's Triton is {SERVER_TORCH}. "
        "A server may refuse what a newer one made; then export with its own or an older one."
    )


def toolchain(format_: Format) -> dict[str, str]:
    """What makes a file of that format here: names and versions."""
    packages = onnx.package_versions() if format_ is Format.ONNX else {}
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": metadata.version("numpy"),
        "platform": f"{platform.system()} {platform.machine()}",
        **packages,
    }
