"""The ONNX file: PyTorch's exporter for the network, ONNX's own words for both ends."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from rvm_export.network import MattingNetwork
from rvm_export.onnx.packages import OPSET
from rvm_export.wire import STATES_IN, STATES_OUT, Precision

# Any sizes would do: all of them are free in the file. No two may be alike, nor be 1, or the
# exporter takes them for one, or for a constant.
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

    example, free = _example(network, precision)
    with quiet(), torch.no_grad():
        traced = torch.export.export(
            WorkingSize(network, precision.dtype).eval(),
            example,
            dynamic_shapes=free,
            strict=False,
        )
        program = torch.onnx.export(
            traced,
            (),
            input_names=["image", *STATES_IN, "src"],
            output_names=["y", "a", "b", *STATES_OUT],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    written: bytes = joined(program.model_proto, precision).SerializeToString(deterministic=True)
    return written


def _example(
    network: MattingNetwork, precision: Precision
) -> tuple[tuple[Tensor, ...], tuple[dict[int, object], ...]]:
    """Inputs of `WorkingSize` to trace it with, and which of their sizes are free."""
    any_size = torch.export.Dim.AUTO
    states, height, width = [], _HEIGHT, _WIDTH
    for channels in network.state_channels:
        height, width = (height + 1) // 2, (width + 1) // 2
        states.append(torch.zeros(_VIDEOS, channels, height, width, dtype=precision.dtype))
    image = torch.zeros(_VIDEOS * _FRAMES, 3, _HEIGHT, _WIDTH)
    src = torch.zeros(_VIDEOS, _FRAMES, 5, 7, 3, dtype=torch.uint8)
    of_image = {0: any_size, 2: any_size, 3: any_size}
    # A state may also be the start, [1,1,1,1]: even its channels are free.
    of_state = dict.fromkeys(range(4), any_size)
    return (image, *states, src), (of_image, *[of_state] * 4, of_state)


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
