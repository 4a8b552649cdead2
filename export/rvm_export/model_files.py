"""A version's model file in either format: made, loaded, and how its format is versioned."""

import io
from pathlib import Path

import torch

from rvm_export import onnx, script
from rvm_export.errors import UsageError
from rvm_export.network import MattingNetwork
from rvm_export.wire import Format, Layout, ModelKind, Precision

Loaded = torch.jit.ScriptModule | onnx.OnnxModel


def check_format(kind: ModelKind, device: str) -> None:
    """Make sure that a model of a kind can be made and checked here.

    Raises:
        UsageError: a package is missing, or there is no ONNX of that layout or for that device.
    """
    if kind.format is Format.TORCHSCRIPT:
        return
    if kind.layout is not Layout.RGB:
        raise UsageError(
            f"--format onnx has no layout {kind.layout.value}; give --layout {Layout.RGB.value}"
        )
    if device != "cpu":
        raise UsageError(f"ONNX is checked on the CPU; leave out --device {device}")
    onnx.check_packages()


def model_bytes(network: MattingNetwork, kind: ModelKind, precision: Precision) -> bytes:
    """The model file of a network with its weights, in float32."""
    if kind.format is Format.ONNX:
        return onnx.onnx_file(network, precision)
    # Through memory: PyTorch's own writer says of a full disk only that it failed.
    buffer = io.BytesIO()
    torch.jit.save(script.script(network, precision.dtype, kind.layout), buffer)
    return buffer.getvalue()


def load_model(path: Path, format_: Format, device: str) -> Loaded:
    """A model file, ready to run.

    Raises:
        VerificationError: it is of a newer PyTorch, or ONNX Runtime does not take it.
        RuntimeError: it is damaged.
    """
    return onnx.load(path) if format_ is Format.ONNX else script.load(path, device)


def format_version(path: Path, format_: Format) -> int:
    """Of the archive, as PyTorch counts it, or the opset of an ONNX file."""
    return onnx.OPSET if format_ is Format.ONNX else script.archive_version(path)
