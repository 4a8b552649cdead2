"""The encoder MobileNetV3-Large, dilated in its last stage."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvm_export.network.layers import conv_bn_act

ENCODER_BN_EPS = 0.001
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InvertedResidualConfig:
    """One row of the MobileNetV3-Large table (Howard et al. 2019, arXiv 1905.02244, table 1)."""

    kernel: int
    in_channels: int
    expanded: int
    out_channels: int
    squeeze: bool
    hard_swish: bool  # ReLU otherwise
    stride: int  # as in the table; a dilated block runs at stride 1
    dilation: int = 1


BLOCKS = (
    InvertedResidualConfig(3, 16, 16, 16, False, False, 1),
    InvertedResidualConfig(3, 16, 64, 24, False, False, 2),
    InvertedResidualConfig(3, 24, 72, 24, False, False, 1),
    InvertedResidualConfig(5, 24, 72, 40, True, False, 2),
    InvertedResidualConfig(5, 40, 120, 40, True, False, 1),
    InvertedResidualConfig(5, 40, 120, 40, True, False, 1),
    InvertedResidualConfig(3, 40, 240, 80, False, True, 2),
    InvertedResidualConfig(3, 80, 200, 80, False, True, 1),
    InvertedResidualConfig(3, 80, 184, 80, False, True, 1),
    InvertedResidualConfig(3, 80, 184, 80, False, True, 1),
    InvertedResidualConfig(3, 80, 480, 112, True, True, 1),
    InvertedResidualConfig(3, 112, 672, 112, True, True, 1),
    InvertedResidualConfig(5, 112, 672, 160, True, True, 2, 2),
    InvertedResidualConfig(5, 160, 960, 160, True, True, 1, 2),
    InvertedResidualConfig(5, 160, 960, 160, True, True, 1, 2),
)


def squeeze_channels(expanded: int) -> int:
    """A quarter of `expanded`, rounded to a multiple of 8 and never below 90 % of the quarter."""
    quarter = expanded / 4
    rounded = max(8, int(quarter + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * quarter else rounded + 8


class SqueezeExcite(nn.Module):
    """Channel attention from the global mean (Hu et al. 2017, arXiv 1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = squeeze_channels(channels)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))
        return x * F.hardsigmoid(self.fc2(squeezed))


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze-excite, project; added to its input where shapes allow."""

    def __init__(self, config: InvertedResidualConfig) -> None:
        super().__init__()
        self.residual = config.stride == 1 and config.in_channels == config.out_channels
        layers: list[nn.Module] = []
        if config.expanded != config.in_channels:
            layers.append(_encoder_conv(config, config.in_channels, config.expanded))
        layers.append(
            conv_bn_act(
                config.expanded,
                config.expanded,
                config.kernel,
                _activation(config.hard_swish),
                stride=1 if config.dilation > 1 else config.stride,
                dilation=config.dilation,
                groups=config.expanded,
                bn_eps=ENCODER_BN_EPS,
            )
        )
        if config.squeeze:
            layers.append(SqueezeExcite(config.expanded))
        layers.append(
            conv_bn_act(config.expanded, config.out_channels, 1, None, bn_eps=ENCODER_BN_EPS)
        )
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.residual else y


def _encoder_conv(
    config: InvertedResidualConfig, in_channels: int, out_channels: int
) -> nn.Sequential:
    activation = _activation(config.hard_swish)
    return conv_bn_act(in_channels, out_channels, 1, activation, bn_eps=ENCODER_BN_EPS)


def _activation(hard_swish: bool) -> nn.Module:
    return nn.Hardswish(inplace=True) if hard_swish else nn.ReLU(inplace=True)


# Where the rest is half, these layers stay float32. They do little of the work, and rounding the
# picture and what they make of it is what the mattes show most: up to 5 levels, then up to 2.
PRECISE_LAYERS = 7


class MobileNetV3Encoder(nn.Module):
    """RGB in 0..1, [N,3,h,w], to the feature maps f1..f4 at 1/2, 1/4, 1/8 and 1/16."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        first = conv_bn_act(3, 16, 3, nn.Hardswish(inplace=True), stride=2, bn_eps=ENCODER_BN_EPS)
        last = conv_bn_act(160, 960, 1, nn.Hardswish(inplace=True), bn_eps=ENCODER_BN_EPS)
        blocks = [InvertedResidual(config) for config in BLOCKS]
        self.features = nn.Sequential(first, *blocks, last)
        # TorchScript sees attributes, not constants of a module.
        self.precise_layers = PRECISE_LAYERS
        # Not part of the checkpoint. Buffers, so that they follow the model to its device.
        self.register_buffer("mean", _per_channel(IMAGENET_MEAN), persistent=False)
        self.register_buffer("std", _per_channel(IMAGENET_STD), persistent=False)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features in the precision of the later layers, whatever that of the image is."""
        dtype = self.features[-1][0].weight.dtype  # type: ignore[index]
        x = (rgb - self.mean) / self.std
        taps: list[Tensor] = []
        for index, layer in enumerate(self.features):
            if index == self.precise_layers:
                x = x.to(dtype)
            x = layer(x)
            # f1, f2 and f3 are the last outputs before the next stride.
            if index == 1 or index == 3 or index == 6:
                taps.append(x.to(dtype))
        return taps[0], taps[1], taps[2], x

    def lower_precision(self, dtype: torch.dtype) -> None:
        """Convert all but the first `PRECISE_LAYERS` layers."""
        self.features[PRECISE_LAYERS:].to(dtype)


def _per_channel(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
