"""The refiners: a linear model of the matte in the image, fitted small and applied large.

With x = [rgb, mean of rgb] and y = [foreground residual, alpha], both 4 channels, a guided
filter (He et al. 2010) fits y = A * x + b in each 3x3 window of the small image. A and b vary
slowly, so they are resized to full resolution and applied to the full-resolution x.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvm_export.network.widths import HIDDEN_CHANNELS

FAST_GUIDED_FILTER_EPS = 1e-5


def guide(rgb: Tensor) -> Tensor:
    """x of the linear model: [N,3,h,w] -> [N,4,h,w], the fourth channel being the mean."""
    return torch.cat([rgb, rgb.mean(dim=1, keepdim=True)], dim=1)


class FastGuidedFilter(nn.Module):
    """A in closed form (He and Sun 2015, arXiv 1505.00996). It has no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.eps = FAST_GUIDED_FILTER_EPS

    def forward(self, rgb: Tensor, y: Tensor, _hidden: Tensor) -> tuple[Tensor, Tensor]:
        """rgb [N,3,h,w], y [N,4,h,w] in 0..1, the hidden map unused -> A, b [N,4,h,w]."""
        x = guide(rgb)
        means = box_mean(torch.cat([x, y, x * y, x * x], dim=1))
        mean_x, mean_y, mean_xy, mean_xx = torch.split(means, 4, dim=1)
        covariance = mean_xy - mean_x * mean_y
        variance = mean_xx - mean_x * mean_x
        a = covariance / (variance + self.eps)
        return a, mean_y - a * mean_x


def box_mean(x: Tensor) -> Tensor:
    """Mean over 3x3 windows; the zero padding counts, so borders are not renormalised.

    No convolution: a GPU may round the numbers of one to 10 bits of mantissa (TF32). In flat
    regions the variance is a difference of nearly equal numbers, divided by `eps`; after such a
    rounding alpha is wrong by up to 255 levels.
    """
    return F.avg_pool2d(x, 3, 1, 1)


class DeepGuidedFilter(nn.Module):
    """A from a small network (Wu et al. 2018, arXiv 1803.05619) over the same statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.box_filter = nn.Conv2d(4, 4, 3, padding=1, bias=False, groups=4)
        self.box_is_mean = False
        self.conv = nn.Sequential(
            nn.Conv2d(2 * 4 + HIDDEN_CHANNELS, 16, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 4, 1),
        )

    def forward(self, rgb: Tensor, y: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """rgb [N,3,h,w], y [N,4,h,w] in 0..1, hidden [N,16,h,w] -> A, b [N,4,h,w]."""
        x = guide(rgb)
        means = self.box(torch.cat([x, y, x * y, x * x]))
        mean_x, mean_y, mean_xy, mean_xx = torch.chunk(means, 4)
        covariance = mean_xy - mean_x * mean_y
        variance = mean_xx - mean_x * mean_x
        a: Tensor = self.conv(torch.cat([covariance, variance, hidden], dim=1))
        return a, mean_y - a * mean_x

    def settle(self) -> None:
        """Note what kind of box filter the loaded weights are; for the graph that is served."""
        ninths = torch.full_like(self.box_filter.weight, 1 / 9)
        self.box_is_mean = torch.allclose(self.box_filter.weight, ninths, rtol=0, atol=1e-6)

    def box(self, x: Tensor) -> Tensor:
        """The box filter of [N,4,h,w]. Training may have moved its weights from 1/9."""
        if self.box_is_mean:
            return box_mean(x)
        # In float64, which no GPU rounds.
        weight = self.box_filter.weight.double()
        return F.conv2d(x.double(), weight, padding=[1, 1], groups=4).float()


def apply_linear(rgb: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """y = A * x + b at full resolution: rgb [N,3,H,W], A and b [N,4,h,w] -> [N,4,H,W]."""
    size = [rgb.size(2), rgb.size(3)]
    large = F.interpolate(torch.cat([a, b], dim=1), size, mode="bilinear", align_corners=False)
    large_a, large_b = torch.split(large, 4, dim=1)
    return torch.addcmul(large_b, large_a, guide(rgb))
