"""A Python-based Triton backend that serves `backend: "pytorch"` models.

Triton's Python backend loads this file where NVIDIA's own PyTorch backend is not installed. It
follows that backend's rules: `<version>/model.pt` is TorchScript, inputs go to `forward` in the
order of config.pbtxt, outputs come back in that order, and the parameters have the same names.
It runs inside Triton and is never imported by `rvm_client`.
"""

import json
import os
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
import triton_python_backend_utils as pb_utils
from torch.jit._fuser import optimized_execution
from torch.utils.dlpack import from_dlpack

DTYPES = {
    "TYPE_BOOL": torch.bool,
    "TYPE_UINT8": torch.uint8,
    "TYPE_INT8": torch.int8,
    "TYPE_INT16": torch.int16,
    "TYPE_INT32": torch.int32,
    "TYPE_INT64": torch.int64,
    "TYPE_FP16": torch.float16,
    "TYPE_FP32": torch.float32,
    "TYPE_FP64": torch.float64,
}
MESSAGE_LIMIT_CHARACTERS = 300


class TritonPythonModel:
    """One instance of a model. Triton calls `initialize`, `execute` and `finalize`."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model. `args` are Triton's; any exception fails the load with its message."""
        config = json.loads(args["model_config"])
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [
            (tensor["name"], DTYPES[tensor["data_type"]]) for tensor in config["output"]
        ]
        self.parameters = {
            key: value["string_value"] for key, value in config.get("parameters", {}).items()
        }
        self.device = device_of(args)
        self._set_threads()
        self._set_executor()
        self.optimized = not self._flag("DISABLE_OPTIMIZED_EXECUTION", default=False)
        self.inference_mode = self._flag("INFERENCE_MODE", default=True)
        self.model = self._load(Path(args["model_repository"]) / args["model_version"] / "model.pt")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request; one that fails gets an error and leaves the others alone."""
        with self._grad_mode(), optimized_execution(self.optimized):
            return [self._respond(request) for request in requests]

    def finalize(self) -> None:
        """Free the model."""
        del self.model

    def _respond(self, request: Any) -> Any:
        try:
            return pb_utils.InferenceResponse(output_tensors=self._infer(request))
        except Exception as exc:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(one_line(exc)))

    def _infer(self, request: Any) -> list[Any]:
        results = self.model(*(self._input(request, name) for name in self.inputs))
        if isinstance(results, torch.Tensor):
            results = (results,)
        if len(results) != len(self.outputs):
            raise ValueError(
                f"the model returned {len(results)} tensors, config.pbtxt has {len(self.outputs)}"
            )
        return [
            output_tensor(name, dtype, result)
            for (name, dtype), result in zip(self.outputs, results, strict=True)
        ]

    def _input(self, request: Any, name: str) -> torch.Tensor:
        tensor = pb_utils.get_input_tensor_by_name(request, name)
        return from_dlpack(tensor.to_dlpack()).to(self.device)

    def _load(self, path: Path) -> torch.jit.ScriptModule:
        try:
            return torch.jit.load(str(path), map_location=self.device).eval()  # type: ignore[no-any-return,no-untyped-call]
        except (RuntimeError, ValueError, OSError) as exc:
            raise pb_utils.TritonModelException(
                f"{path} cannot be loaded: {one_line(exc)}"
            ) from exc

    def _grad_mode(self) -> AbstractContextManager[Any]:
        return torch.inference_mode() if self.inference_mode else torch.no_grad()

    def _set_threads(self) -> None:
        # The server's environment carries OMP_NUM_THREADS for the cores that it may use.
        default = os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))
        torch.set_num_threads(int(self.parameters.get("INTRA_OP_THREAD_COUNT", default)))
        if "INTER_OP_THREAD_COUNT" in self.parameters:
            torch.set_num_interop_threads(int(self.parameters["INTER_OP_THREAD_COUNT"]))

    def _set_executor(self) -> None:
        if "ENABLE_JIT_EXECUTOR" in self.parameters:
            torch._C._jit_set_profiling_executor(self._flag("ENABLE_JIT_EXECUTOR", default=True))
        if "ENABLE_JIT_PROFILING" in self.parameters:
            torch._C._jit_set_profiling_mode(self._flag("ENABLE_JIT_PROFILING", default=True))

    def _flag(self, key: str, *, default: bool) -> bool:
        return self.parameters.get(key, str(default)).strip().lower() in ("true", "1", "yes", "on")


def device_of(args: dict[str, str]) -> torch.device:
    """The device that Triton gave this instance."""
    if args["model_instance_kind"] == "GPU":
        return torch.device("cuda", int(args["model_instance_device_id"]))
    return torch.device("cpu")


def output_tensor(name: str, dtype: torch.dtype, result: torch.Tensor) -> Any:
    """Hand one result to Triton without a copy where its memory allows it."""
    if result.dtype != dtype:
        raise ValueError(f"output {name} is {result.dtype}, config.pbtxt says {dtype}")
    return pb_utils.Tensor.from_dlpack(name, result.detach().cpu().contiguous())


def one_line(exc: Exception) -> str:
    """The reason of an exception; TorchScript puts it below its own trace of many lines."""
    reasons = re.findall(r"^(?:builtins\.)?\w*(?:Error|Exception): (.+)$", str(exc), re.MULTILINE)
    lines = str(exc).strip().splitlines() or [type(exc).__name__]
    return str(reasons[-1] if reasons else lines[0])[:MESSAGE_LIMIT_CHARACTERS]
