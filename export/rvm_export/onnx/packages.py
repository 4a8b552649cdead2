"""The packages that the ONNX format needs."""

from importlib import metadata, util

import torch

from rvm_export.errors import UsageError

# Of ONNX's operators. The first in which the exporter of PyTorch writes all that is used here.
OPSET = 20
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# The oldest PyTorch that this was tried with.
OLDEST_TORCH = "2.13"


def check_packages() -> None:
    """Raises: UsageError: a package is missing, or PyTorch is too old."""
    if missing := [name for name in PACKAGES if util.find_spec(name) is None]:
        raise UsageError(
            f"--format onnx: there is no package {' nor '.join(missing)}; "
            "pip install 'rvm-triton[export,onnx]'"
        )
    if torch.__version__ < OLDEST_TORCH:
        raise UsageError(
            f"--format onnx needs PyTorch {OLDEST_TORCH} or newer; here is {torch.__version__}"
        )


def package_versions() -> dict[str, str]:
    """Of each package that has a part in the file."""
    return {name: metadata.version(name) for name in PACKAGES}
