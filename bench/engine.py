"""One way to run the network, in a process of its own: `python -m bench.engine KEY=VALUE...`.

A line on stdin runs it once; a line on stdout has the seconds by the clock and of processor
time. Engines change the threads and the affinity of their process, so they share none.
"""

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench import clips
from rvm_export.config import cache_folder
from rvm_export.network.network import MattingNetwork, States
from rvm_export.weights.weights import Source, fetch_weights

Run = Callable[[], Any]


class FloatNetwork(nn.Module):
    """The network as its other users have it: planes of floats in and out, a fixed ratio."""

    def __init__(self, network: MattingNetwork, ratio: float) -> None:
        super().__init__()
        self.network = network
        self.ratio = ratio

    def forward(self, src: Tensor, r1: Tensor, r2: Tensor, r3: Tensor, r4: Tensor) -> Any:
        foreground, alpha, states = self.network(src, (r1, r2, r3, r4), self.ratio)
        return foreground, alpha, *states


def main() -> None:
    warnings.simplefilter("ignore")
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    torch.set_num_threads(int(options["threads"]))
    torch.set_grad_enabled(False)
    run = ENGINES[options["engine"]](options)
    print("ready", flush=True)
    for _ in sys.stdin:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        run()
        if options["device"] == "cuda":
            torch.cuda.synchronize()
        print(time.perf_counter() - wall_s, time.process_time() - cpu_s, flush=True)


def torchscript(options: dict[str, str]) -> Run:
    """The exported file with the wire contract: bytes in, bytes out.

    With `transfers` frames come from main memory and mattes go back there, as through Triton.
    """
    device = options["device"]
    transfers = options.get("transfers") == "True"
    model = torch.jit.load(options["model"], map_location=device)  # type: ignore[no-untyped-call]
    frames = torch.from_numpy(pixels(options))[None]
    on_device = frames.to(device)
    ratio = torch.tensor([float(options["ratio"])], device=device)
    dtype = torch.float16 if options["precision"] == "fp16" else torch.float32
    states = [torch.zeros(1, 1, 1, 1, dtype=dtype, device=device)] * 4

    # As config.pbtxt has it.
    @torch.jit.optimized_execution(False)  # type: ignore[attr-defined]
    @torch.inference_mode()
    def run() -> Any:
        src = frames.to(device) if transfers else on_device
        fgr, pha, *later = model(src, *states, ratio)
        return (fgr.cpu(), pha.cpu(), *later) if transfers else (fgr, pha, *later)

    states = list(run()[2:])
    return run


def eager(options: dict[str, str]) -> Run:
    """PyTorch without export: floats in, floats out; on a GPU in half precision."""
    network, inputs = float_network(options)

    def run() -> Any:
        with torch.inference_mode():
            return network(*inputs)

    return run


def onnx_runtime(options: dict[str, str]) -> Run:
    """The same float network, T = 1, fixed sizes."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = int(options["threads"])
    path, feed = onnx_file(options)
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feed)


def openvino(options: dict[str, str]) -> Run:
    """Likewise, in float32."""
    from openvino import Core

    path, feed = onnx_file(options)
    settings = {
        "INFERENCE_NUM_THREADS": int(options["threads"]),
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = Core().compile_model(path, "CPU", settings).create_infer_request()
    return lambda: request.infer(feed)


ENGINES: dict[str, Callable[[dict[str, str]], Run]] = {
    "torchscript": torchscript,
    "eager": eager,
    "onnxruntime": onnx_runtime,
    "openvino": openvino,
}


def pixels(options: dict[str, str]) -> Any:
    height, width, count = (int(options[key]) for key in ("height", "width", "frames"))
    return clips.frames(height, width, count)


def float_network(options: dict[str, str]) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The float network, and frames with the states after them."""
    device = options["device"]
    weights = fetch_weights(cache_folder() / "weights", lambda _: None, Source.INT8)
    network = FloatNetwork(weights.network(), float(options["ratio"]))
    # RVM's own speed test runs half precision on a GPU.
    dtype = torch.float16 if device == "cuda" else torch.float32
    network = network.to(device, dtype)
    planar = torch.from_numpy(pixels(options)).permute(0, 3, 1, 2)[None]
    src = (planar.to(device, dtype) / 255).contiguous()
    start = torch.zeros(1, 1, 1, 1, device=device, dtype=dtype)
    states: States = network(src, start, start, start, start)[2:]
    return network, (src, *states)


def onnx_file(options: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The float network as ONNX, written once a size, and its inputs by name."""
    network, inputs = float_network(options)
    path = Path(options["folder"]) / f"{options['height']}p.onnx"
    names = ("src", "r1i", "r2i", "r3i", "r4i")
    if not path.exists():
        outputs = ("fgr", "pha", "r1o", "r2o", "r3o", "r4o")
        partial = path.with_suffix(".part.onnx")
        torch.onnx.export(
            network.eval(), inputs, str(partial), input_names=names, output_names=outputs,
            dynamo=True, verbose=False, external_data=False,
        )  # fmt: skip
        partial.rename(path)
    return str(path), {name: x.numpy() for name, x in zip(names, inputs, strict=True)}


if __name__ == "__main__":
    main()
