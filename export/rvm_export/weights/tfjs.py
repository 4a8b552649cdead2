"""The TensorFlow.js int8 release of the weights (`rvm.json`, `rvm.bin`) as a state dict.

`data/tfjs_mapping.tsv` says which TensorFlow tensor is which key of the checkpoint. Batch norm
is folded into these weights: what stands at a batch norm is an offset alone.
"""

import json
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rvm_export.errors import WeightsError
from rvm_export.network import MattingNetwork
from rvm_export.weights.checkpoint import StateDict
from rvm_export.wire import Refiner

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MappedTensor:
    """One row of the mapping table."""

    key: str
    tensor: str
    axes: tuple[int, ...] | None  # permutation from TensorFlow's order of axes
    scale_tensor: str | None  # per-channel factor of a depthwise kernel


def read_tfjs(json_path: Path) -> StateDict:
    """The state dict for a network with the fast guided filter, from `rvm.json`.

    Raises:
        WeightsError: a file is missing, damaged, or another model's.
    """
    tensors = _read_tensors(json_path)
    network = MattingNetwork(Refiner.FAST)
    state_dict: StateDict = {key: torch.zeros_like(t) for key, t in network.state_dict().items()}
    _make_norms_identities(network, state_dict)
    try:
        for mapped in mapping():
            state_dict[mapped.key] = torch.from_numpy(_mapped_value(mapped, tensors))
        network.load_state_dict(state_dict)
    except (KeyError, ValueError, RuntimeError) as exc:
        raise WeightsError(f"{json_path} is not the RVM MobileNetV3 int8 release: {exc}") from exc
    return state_dict


def mapping() -> list[MappedTensor]:
    """The rows of `data/tfjs_mapping.tsv`."""
    table = (resources.files("rvm_export") / "data" / "tfjs_mapping.tsv").read_text("utf-8")
    return [_mapped_tensor(line) for line in table.splitlines()[1:]]


def _mapped_tensor(line: str) -> MappedTensor:
    key, tensor, permute, scale = line.split("\t")
    axes = None if permute == "-" else tuple(int(axis) for axis in permute.split(","))
    return MappedTensor(key, tensor, axes, None if scale == "-" else scale)


def _mapped_value(mapped: MappedTensor, tensors: dict[str, FloatArray]) -> FloatArray:
    value = tensors[mapped.tensor]
    if mapped.scale_tensor is not None:
        # Depthwise kernels are [h, w, in, multiplier] in TensorFlow.
        value = value * tensors[mapped.scale_tensor].reshape(1, 1, -1, 1)
    if mapped.axes is not None:
        value = value.transpose(mapped.axes)
    return np.ascontiguousarray(value)


def _make_norms_identities(network: MattingNetwork, state_dict: StateDict) -> None:
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # weight / sqrt(running_var + eps) = 1
            state_dict[f"{name}.weight"].fill_(math.sqrt(1 + module.eps))
            state_dict[f"{name}.running_var"].fill_(1)


def _read_tensors(json_path: Path) -> dict[str, FloatArray]:
    try:
        manifest = json.loads(json_path.read_bytes())["weightsManifest"][0]
        data = json_path.with_name(manifest["paths"][0]).read_bytes()
        return _decode(manifest["weights"], data)
    except OSError as exc:
        raise WeightsError(f"cannot read {exc.filename}: {exc.strerror}") from exc
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as exc:
        raise WeightsError(f"{json_path} is not a TensorFlow.js model, or damaged: {exc}") from exc


def _decode(entries: list[dict[str, Any]], data: bytes) -> dict[str, FloatArray]:
    """The float tensors of a weights file, which lie one after the other."""
    tensors: dict[str, FloatArray] = {}
    offset = 0
    for entry in entries:
        quantization = entry.get("quantization")
        stored = np.dtype(quantization["dtype"] if quantization else entry["dtype"])
        count = math.prod(entry["shape"])
        raw = np.frombuffer(data, stored, count, offset).reshape(entry["shape"])
        offset += raw.nbytes
        if quantization:
            real = raw.astype(np.float32) * np.float32(quantization["scale"]) + np.float32(
                quantization["min"]
            )
            tensors[entry["name"]] = real.astype(np.float32)
        elif stored == np.float32:
            tensors[entry["name"]] = raw
    if offset != len(data):
        raise ValueError(f"{len(data)} bytes of weights where {offset} are expected")
    return tensors
