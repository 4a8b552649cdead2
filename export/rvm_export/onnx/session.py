"""An ONNX file, run by ONNX Runtime behind the wire contract."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rvm_export.errors import VerificationError, in_one_line

Outputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

# Errors; warnings of the CPU's kernels are of no use to a user.
_LOG_SEVERITY = 3


class OnnxModel:
    """Takes and gives tensors in the order of the wire contract, as a TorchScript model does."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.input_names = tuple(value.name for value in session.get_inputs())

    def __call__(self, *inputs: Tensor) -> Outputs:
        """Raises: RuntimeError: the session refuses the inputs."""
        arrays = [tensor.cpu().numpy() for tensor in inputs]
        feed = dict(zip(self.input_names, arrays, strict=True))
        fgr, pha, *states = (torch.from_numpy(array) for array in self._session.run(None, feed))
        return fgr, pha, states[0], states[1], states[2], states[3]


def load(path: Path) -> OnnxModel:
    """An ONNX file on the CPU, with as many threads as PyTorch has.

    Raises:
        VerificationError: ONNX Runtime does not take the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = _LOG_SEVERITY
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    # Its exceptions have no common class but this one.
    except Exception as exc:
        raise VerificationError(f"ONNX Runtime does not take {path}: {in_one_line(exc)}") from exc
    return OnnxModel(session)
