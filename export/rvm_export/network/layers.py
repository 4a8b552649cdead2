"""Building blocks that the encoder, the decoder and the refiner share."""

from torch import Tensor, nn


def conv_bn_act(
    in_channels: int,
    out_channels: int,
    kernel: int,
    activation: nn.Module | None,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bn_eps: float = 1e-5,
) -> nn.Sequential:
    """Convolution without bias, batch norm, activation (none for a linear projection).

    The padding keeps the size at stride 1.
    """
    padding = (kernel - 1) // 2 * dilation
    layers: list[nn.Module] = [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels, eps=bn_eps),
    ]
    if activation is not None:
        layers.append(activation)
    return nn.Sequential(*layers)


class Projection(nn.Module):
    """A 1x1 convolution under the name `conv`."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.conv(x)
        return projected
