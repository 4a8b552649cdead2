"""The recurrent decoder: four ConvGRUs on the way back up, and a last block without one."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvm_export.network.widths import HIDDEN_CHANNELS, Widths


class JoiningConv2d(nn.Conv2d):
    """A 3x3 convolution of several tensors side by side, which need not be copied into one."""

    def part(self, x: Tensor, first_channel: int, channels: int) -> Tensor:
        """What x [N,channels,h,w] adds to the result as the channels from `first_channel` on.

        The part of the first channels carries the bias.
        """
        weight = self.weight[:, first_channel : first_channel + channels]
        # Freezing does this once and for all where the channels are constant.
        weight = weight.contiguous(memory_format=torch.channels_last)
        bias = self.bias if first_channel == 0 else None
        return F.conv2d(x, weight, bias, padding=1)

    def joined(self, parts: list[Tensor]) -> Tensor:
        """The convolution of all parts."""
        if parts[0].is_cuda:
            return F.conv2d(torch.cat(parts, dim=1), self.weight, self.bias, padding=1)
        # A CPU takes longer to interleave the channels than to add up the parts' results.
        y = self.part(parts[0], 0, parts[0].size(1))
        first_channel = parts[0].size(1)
        for part in parts[1:]:
            y.add_(self.part(part, first_channel, part.size(1)))
            first_channel += part.size(1)
        return y


class ConvGRU(nn.Module):
    """A gated recurrent unit whose gates are 3x3 convolutions (Ballas et al. 2015).

    A convolution of [x, h] is the sum of one of x and one of h. The first needs no state, so it
    is done for all frames at once, and nothing has to be copied into one tensor.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.ih = nn.Sequential(
            JoiningConv2d(2 * channels, 2 * channels, 3, padding=1),
            nn.Sigmoid(),
        )
        self.hh = nn.Sequential(
            JoiningConv2d(2 * channels, channels, 3, padding=1),
            nn.Tanh(),
        )

    def step(self, gates_x: Tensor, candidate_x: Tensor, h: Tensor) -> Tensor:
        """One frame: the parts of x, then h and the result, [B,C,h,w]."""
        gates: Tensor = self.ih[0].part(h, self.channels, self.channels)  # type: ignore[operator]
        r, z = torch.split(gates.add_(gates_x).sigmoid_(), self.channels, dim=1)
        candidate: Tensor = self.hh[0].part(r * h, self.channels, self.channels)  # type: ignore[operator]
        return torch.lerp(h, candidate.add_(candidate_x).tanh_(), z)

    def forward(self, x: Tensor, h: Tensor, videos: int) -> tuple[Tensor, Tensor]:
        """All frames: x [B*T,C,h,w], state [B,C,h,w] or [1,1,1,1] -> outputs as x, last state."""
        if h.numel() == 1:
            h = h.expand(videos, x.size(1), x.size(2), x.size(3))
        gates_x = by_video(self.ih[0].part(x, 0, self.channels), videos)  # type: ignore[operator]
        candidate_x = by_video(self.hh[0].part(x, 0, self.channels), videos)  # type: ignore[operator]
        outputs: list[Tensor] = []
        for t in range(gates_x.size(1)):
            h = self.step(gates_x[:, t], candidate_x[:, t], h)
            outputs.append(h)
        # One frame of each video needs no copy.
        return h if len(outputs) == 1 else torch.stack(outputs, dim=1).flatten(0, 1), h


def by_video(x: Tensor, videos: int) -> Tensor:
    """[B*T,C,h,w] -> [B,T,C,h,w]."""
    return x.view(videos, -1, x.size(1), x.size(2), x.size(3))


class HalfRecurrent(nn.Module):
    """Sends the second half of the channels through a ConvGRU, the first half as it is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru_channels = channels // 2
        self.gru = ConvGRU(self.gru_channels)

    def recur(self, x: Tensor, state: Tensor, videos: int) -> tuple[Tensor, Tensor]:
        half = x[:, self.gru_channels :]
        outputs, state = self.gru(half, state, videos)
        half.copy_(outputs)
        return x, state


class BottleneckBlock(HalfRecurrent):
    """`decode4`: only the recurrence, at 1/16."""

    def forward(self, x: Tensor, state: Tensor, videos: int) -> tuple[Tensor, Tensor]:
        return self.recur(x, state, videos)


def _conv_bn_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [
        JoiningConv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


def upsample_to(x: Tensor, like: Tensor) -> Tensor:
    """`x` doubled in size, cropped to the height and width of `like` (odd sizes)."""
    doubled = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return doubled[:, :, : like.size(2), : like.size(3)]


class UpsamplingBlock(HalfRecurrent):
    """`decode3`..`decode1`: up by two, joined with features and image, then the recurrence."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__(out_channels)
        self.conv = nn.Sequential(*_conv_bn_relu(in_channels + skip_channels + 3, out_channels))

    def forward(
        self, x: Tensor, skip: Tensor, image: Tensor, state: Tensor, videos: int
    ) -> tuple[Tensor, Tensor]:
        x = self.conv[0].joined([upsample_to(x, image), skip, image])  # type: ignore[operator]
        for index, layer in enumerate(self.conv):
            if index > 0:
                x = layer(x)
        return self.recur(x, state, videos)


class OutputBlock(nn.Module):
    """`decode0`: up to the working size, joined with the image."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *_conv_bn_relu(in_channels + 3, out_channels),
            *_conv_bn_relu(out_channels, out_channels),
        )

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        x = self.conv[0].joined([upsample_to(x, image), image])  # type: ignore[operator]
        for index, layer in enumerate(self.conv):
            if index > 0:
                x = layer(x)
        return x


def halve(image: Tensor) -> Tensor:
    """Mean of 2x2 pixels; at odd sizes the last row and column average what there is."""
    return F.avg_pool2d(image, 2, stride=2, ceil_mode=True, count_include_pad=False)


class RecurrentDecoder(nn.Module):
    """Features f1..f4 and states r1..r4 to the hidden map [N,16,h,w] and the new states."""

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        f1, f2, f3, _ = widths.features
        c1, c2, c3, c4 = (2 * channels for channels in widths.states)
        self.decode4 = BottleneckBlock(c4)
        self.decode3 = UpsamplingBlock(c4, f3, c3)
        self.decode2 = UpsamplingBlock(c3, f2, c2)
        self.decode1 = UpsamplingBlock(c2, f1, c1)
        self.decode0 = OutputBlock(c1, HIDDEN_CHANNELS)

    def forward(
        self,
        image: Tensor,
        features: tuple[Tensor, Tensor, Tensor, Tensor],
        states: tuple[Tensor, Tensor, Tensor, Tensor],
        videos: int,
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
        f1, f2, f3, f4 = features
        r1, r2, r3, r4 = states
        s1 = halve(image)
        s2 = halve(s1)
        s3 = halve(s2)
        x, r4 = self.decode4(f4, r4, videos)
        x, r3 = self.decode3(x, f3, s3, r3, videos)
        x, r2 = self.decode2(x, f2, s2, r2, videos)
        x, r1 = self.decode1(x, f1, s1, r1, videos)
        return self.decode0(x, image), (r1, r2, r3, r4)
