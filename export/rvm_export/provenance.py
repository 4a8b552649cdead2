"""With what a version is made: for its manifest, and to make it again."""

import hashlib
import platform
from importlib import metadata
from pathlib import Path

import torch

from rvm_export import onnx
from rvm_export.wire import Format

# What decides what is in a model file. All other code may change without changing a file.
_SOURCES = ("network", "script", "onnx", "weights", "wire.py")


def code_sha256() -> str:
    """The hash of the sources that decide what is in a model file."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for name in _SOURCES:
        path = package / name
        for source in [path] if path.is_file() else sorted(path.glob("*.py")):
            digest.update(source.relative_to(package).as_posix().encode())
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


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
