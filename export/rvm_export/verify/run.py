"""Run a model with the wire contract over a video, request by request."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rvm_export.network import MattingNetwork

Outputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
# Takes the inputs of its layout, in their order.
Model = Callable[..., Outputs]


@dataclass(frozen=True)
class Matte:
    """What a model made of B videos of T frames, on the CPU."""

    fgr: Tensor  # uint8, as src
    pha: Tensor  # uint8 [B,T,H,W,1]
    states: tuple[Tensor, ...]  # r1..r4 after the last frame, [B,C,h,w]


# As Triton serves it (see config.pbtxt), and without compiling for each new shape.
@torch.jit.optimized_execution(False)  # type: ignore[attr-defined]
@torch.inference_mode()
def run(
    model: Model,
    src: Tensor,
    downsample_ratio: float,
    chunks: Iterable[int],
    dtype: torch.dtype,
    device: str = "cpu",
    matrices: Sequence[Tensor] = (),
    states: Sequence[Tensor] = (),
) -> Matte:
    """Matte `src` in requests of `chunks` frames, the state carried on.

    Args:
        model: of any layout.
        src: uint8 [B,T,H,W,3], or as the model's layout has it.
        downsample_ratio: above 0 and at most 1.
        chunks: the number of frames of each request.
        dtype: of the states.
        device: where the model is.
        matrices: the inputs after the ratio, where the layout has any.
        states: r1..r4 of the frame before; none at the start of a video.
    """
    states = [state.to(device) for state in states]
    states = states or [torch.zeros(1, 1, 1, 1, dtype=dtype, device=device) for _ in range(4)]
    rest = [torch.tensor([downsample_ratio]), *matrices]
    rest = [tensor.to(device) for tensor in rest]
    fgr: list[Tensor] = []
    pha: list[Tensor] = []
    start = 0
    for count in chunks:
        frames = src[:, start : start + count].to(device)
        outputs = model(frames, *states, *rest)
        fgr.append(outputs[0].cpu())
        pha.append(outputs[1].cpu())
        states = list(outputs[2:])
        start += count
    return Matte(torch.cat(fgr, 1), torch.cat(pha, 1), tuple(s.cpu() for s in states))


class EagerModel:
    """The plain network behind the wire contract: the yardstick, in float32 on the CPU."""

    def __init__(self, network: MattingNetwork) -> None:
        self.network = network

    def __call__(
        self, src: Tensor, r1: Tensor, r2: Tensor, r3: Tensor, r4: Tensor, ratio: Tensor
    ) -> Outputs:
        """As `RgbModel.forward`."""
        rgb = src.permute(0, 1, 4, 2, 3).float() / 255
        # float32 holds 0.37 as 0.3700000047: the number that was meant has few digits.
        fgr, pha, states = self.network(rgb, (r1, r2, r3, r4), round(float(ratio), 6))
        return _levels(fgr), _levels(pha), *states


def _levels(planar: Tensor) -> Tensor:
    return (planar * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2)
