"""The ONNX file: PyTorch's exporter for the network, ONNX's own words for both ends."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from rvm_export.network import MattingNetwork
from rvm_export.onnx.packages import OPSET
from rvm_export.wire import STATES_IN, STATES_OUT, Precision

# Of [N,C,h,w] and [B,T,C,h,w]: what weights decide, and no video.
_CHANNEL_AXIS = {4: 1, 5: 2}

# Sizes to trace with; any would do, as all of them are free in the file.
_VIDEOS, _FRAMES, _HEIGHT, _WIDTH = 2, 3, 64, 96


def onnx_file(network: MattingNetwork, precision: Precision) -> bytes:
    """The network as an ONNX model with the wire contract of `Layout.RGB`.

    B, T, H, W and the ratio are free, as in the TorchScript file. It says less of wrong inputs:
    what ONNX Runtime says of them.

    Args:
        network: with its weights, in float32.
        precision: of the weights and the states.
    """
    from rvm_export.onnx.graph import joined
    from rvm_export.onnx.working_size import WorkingSize

    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            WorkingSize(network, precision.dtype).eval(),
            _example(network, precision),
            input_names=["image", *STATES_IN, "src"],
            output_names=["y", "a", "b", *STATES_OUT],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
            optimize=False,
        )
    assert program is not None
    _forget_sizes(program.model.graph)
    program.optimize()
    written: bytes = joined(program.model_proto, precision).SerializeToString(deterministic=True)
    return written


def _example(network: MattingNetwork, precision: Precision) -> tuple[Tensor, ...]:
    """Inputs of `WorkingSize` to trace it with, of any sizes."""
    states, height, width = [], _HEIGHT, _WIDTH
    for channels in network.state_channels:
        height, width = (height + 1) // 2, (width + 1) // 2
        states.append(torch.zeros(_VIDEOS, channels, height, width, dtype=precision.dtype))
    image = torch.zeros(_VIDEOS * _FRAMES, 3, _HEIGHT, _WIDTH)
    src = torch.zeros(_VIDEOS, _FRAMES, 5, 7, 3, dtype=torch.uint8)
    return (image, *states, src)


def _forget_sizes(graph: Any) -> None:
    """Take the example's sizes out of a graph, before constants are worked out from them."""
    for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
        if value.shape is not None and len(value.shape) > 1:
            channels = _CHANNEL_AXIS.get(len(value.shape))
            sizes = [size if axis == channels else None for axis, size in enumerate(value.shape)]
            value.shape = type(value.shape)(sizes)
    for node in graph:
        for attribute in node.attributes.values():
            if attribute.type.name == "GRAPH":
                _forget_sizes(attribute.as_graph())


@contextmanager
def quiet() -> Iterator[None]:
    """The exporter warns of packages and shapes that do not matter here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
