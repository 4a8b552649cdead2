"""The network at the working size as ONNX can say it: `Scan` over T, nothing written in place."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from rvm_export.network import (
    DeepGuidedFilter,
    MattingNetwork,
    box_mean,
    fold_batch_norms,
    guide,
    halve,
)
from rvm_export.onnx.packages import OPSET


class WorkingSize(nn.Module):
    """From the image at the working size to A and b of the refiner, and the states.

    Wraps the parts of a `MattingNetwork`; its decoder is said anew. In half precision the same
    parts are half as in the TorchScript file: not the encoder's first layers, not the refiner.
    """

    def __init__(self, network: MattingNetwork, dtype: torch.dtype) -> None:
        super().__init__()
        network = copy.deepcopy(network).eval()
        fold_batch_norms(network)
        if isinstance(network.refiner, DeepGuidedFilter):
            network.refiner.settle()
        network.backbone.lower_precision(dtype)
        for part in (network.aspp, network.decoder, network.project_mat):
            part.to(dtype)
        self.network = network

    def forward(
        self,
        image: Tensor,
        r1i: Tensor,
        r2i: Tensor,
        r3i: Tensor,
        r4i: Tensor,
        src: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Image and states of B videos to what `RgbModel` makes a picture of.

        Args:
            image: RGB in 0..1, [B*T,3,h,w].
            r1i: r1..r4, each [B,C,h,w], or [1,1,1,1] at the start.
            r2i: the second.
            r3i: the third.
            r4i: the fourth.
            src: the frames [B,T,H,W,3]; only B of them is looked at.

        Returns:
            Foreground residual and alpha [B*T,4,h,w], A and b [B*T,4,h,w], the new states.
        """
        network = self.network
        *skips, f4 = network.backbone(image)
        x = network.aspp(f4)
        small = image.to(f4.dtype)
        sizes = [small]
        for _ in skips:
            sizes.append(halve(sizes[-1]))
        decoder = network.decoder
        x, r4o = recur(decoder.decode4.gru, x, r4i, src)
        x, r3o = up(decoder.decode3, x, [skips[2], sizes[3]], r3i, src)
        x, r2o = up(decoder.decode2, x, [skips[1], sizes[2]], r2i, src)
        x, r1o = up(decoder.decode1, x, [skips[0], sizes[1]], r1i, src)
        hidden = convolved(decoder.decode0.conv, x, [small])
        y = network.project_mat(hidden).float()
        a, b = coefficients(network.refiner, image, y, hidden.float())
        return y, a, b, r1o, r2o, r3o, r4o


def coefficients(
    refiner: nn.Module, image: Tensor, y: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor]:
    """A and b of a refiner; the deep one without a batch that is put together and cut again."""
    if not isinstance(refiner, DeepGuidedFilter):
        a, b = refiner(image, y, hidden)
        return a, b
    x = guide(image)
    mean_x, mean_y, mean_xy, mean_xx = (_box(refiner, part) for part in (x, y, x * y, x * x))
    covariance, variance = mean_xy - mean_x * mean_y, mean_xx - mean_x * mean_x
    a = refiner.conv(torch.cat([covariance, variance, hidden], dim=1))
    return a, mean_y - a * mean_x


def _box(refiner: DeepGuidedFilter, x: Tensor) -> Tensor:
    # In float32 also where it is no mean: ONNX Runtime has no convolution of float64.
    filtered: Tensor = box_mean(x) if refiner.box_is_mean else refiner.box_filter(x)
    return filtered


def up(
    block: nn.Module, x: Tensor, beside: list[Tensor], state: Tensor, src: Tensor
) -> tuple[Tensor, Tensor]:
    """`UpsamplingBlock`: doubled, joined with what has that size, then the recurrence."""
    return recur(block.gru, convolved(block.conv, x, beside), state, src)  # type: ignore[arg-type]


def convolved(conv: nn.Module, x: Tensor, beside: list[Tensor]) -> Tensor:
    """`x` doubled and cut to the size of its neighbours, joined with them, through `conv`."""
    y: Tensor = conv(torch.cat([doubled_to(x, beside[-1]), *beside], dim=1))
    return y


def doubled_to(x: Tensor, like: Tensor) -> Tensor:
    """`upsample_to`, in operators that know no size."""
    doubled = operator(
        "Resize",
        [x, None, torch.tensor([1.0, 1.0, 2.0, 2.0])],
        like=torch.empty(x.size(0), x.size(1), 2 * x.size(2), 2 * x.size(3), dtype=x.dtype),
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )
    begins, axes = torch.tensor([0, 0]), torch.tensor([2, 3])
    cut = torch.empty(x.size(0), x.size(1), like.size(2), like.size(3), dtype=x.dtype)
    return operator("Slice", [doubled, begins, shape_of(like, 2, 4), axes], like=cut)


def shape_of(x: Tensor, start: int, end: int) -> Tensor:
    """Dimensions `start` to `end` of x, when the graph runs."""
    like = torch.empty(end - start, dtype=torch.int64)
    return operator("Shape", [x], like=like, start=start, end=end)


def operator(name: str, inputs: list[Tensor | None], like: Tensor, **attributes: Any) -> Tensor:
    """An ONNX operator whose result has the type, and while it is traced the shape, of `like`."""
    result: Tensor = torch.onnx.ops.symbolic(
        name,
        inputs,
        attrs=attributes,
        dtype=like.dtype,
        shape=tuple(like.shape),
        version=OPSET,
    )
    return result


def recur(gru: nn.Module, x: Tensor, state: Tensor, src: Tensor) -> tuple[Tensor, Tensor]:
    """`HalfRecurrent`: the second half of the channels through the ConvGRU, frame by frame."""
    kept, half = torch.chunk(x, 2, dim=1)
    by_video = operator(
        "Reshape",
        [half, torch.cat([shape_of(src, 0, 2), shape_of(half, 1, 4)])],
        like=half.reshape(src.size(0), src.size(1), *half.shape[1:]),
    )
    by_frame = by_video.transpose(0, 1)
    start = operator("Expand", [state, shape_of(by_frame, 1, 5)], like=by_frame[0])

    def step(h: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        gates = gru.ih(torch.cat([frame, h], dim=1))  # type: ignore[operator]
        r, z = torch.chunk(gates, 2, dim=1)
        candidate = gru.hh(torch.cat([frame, r * h], dim=1))  # type: ignore[operator]
        h = h + z * (candidate - h)
        return h, h.clone()

    last, outputs = scan(step, start, by_frame, dim=0)
    joined = operator("Reshape", [outputs.transpose(0, 1), shape_of(half, 0, 4)], like=half)
    return torch.cat([kept, joined], dim=1), last
