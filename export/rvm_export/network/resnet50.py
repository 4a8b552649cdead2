"""The encoder ResNet50 (He et al. 2015, arXiv 1512.03385), dilated in its last stage."""

import torch
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """1x1 to fewer channels, 3x3, 1x1 to four times as many; added to its input.

    The stride is in the 3x3 convolution. Children stand in the order of their use, each batch
    norm behind its convolution (see `fold_batch_norms`).
    """

    def __init__(self, in_channels: int, channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        out_channels = 4 * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(
            channels, channels, 3, stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += self.downsample(x)
        result: Tensor = self.relu(y)
        return result


def _stage(
    in_channels: int, channels: int, blocks: int, *, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Blocks in a row: the first has the stride, and those after it the dilation."""
    first = Bottleneck(in_channels, channels, stride, dilation=1)
    rest = [Bottleneck(4 * channels, channels, 1, dilation) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


class ResNet50Encoder(nn.Module):
    """RGB in 0..1, [N,3,h,w], to the feature maps f1..f4 at 1/2, 1/4, 1/8 and 1/16.

    It sees RGB as it is: without ImageNet's mean and deviation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(64, 64, 3)
        self.layer2 = _stage(256, 128, 4, stride=2)
        self.layer3 = _stage(512, 256, 6, stride=2)
        # Dilated in place of a stride: 1/16 is as small as it gets.
        self.layer4 = _stage(1024, 512, 3, dilation=2)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features in the precision of the later layers, whatever that of the image is."""
        dtype = self.layer4[0].conv1.weight.dtype  # type: ignore[union-attr]
        f1 = self.relu(self.bn1(self.conv1(rgb))).to(dtype)
        f2 = self.layer1(self.maxpool(f1))
        f3 = self.layer2(f2)
        return f1, f2, f3, self.layer4(self.layer3(f3))

    def lower_precision(self, dtype: torch.dtype) -> None:
        """Convert all but the first layer: it does little of the work, and sees the picture.

        With seeded weights alpha and foreground then differ from float32's by at most one level,
        0.02 on average, whichever of the other stages stay float32, too.
        """
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            stage.to(dtype)
