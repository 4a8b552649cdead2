"""The network from RGB frames to foreground and alpha: what all layouts of the wire share."""

import copy
import math

import torch
from torch import Tensor, nn

from rvm_export.network import DeepGuidedFilter, MattingNetwork, fold_batch_norms
from rvm_export.script.full_resolution import linear_model, working_size_image, write_frames


class FrameModel(nn.Module):
    """`MattingNetwork` for frames of bytes, arranged to touch full resolution little.

    In half precision only the working-size network is half, and not its first layers (see
    `lower_precision` of the encoders). The refiner stays in float32: it divides a difference of
    nearly equal numbers by as little as 1e-5, and its b reaches values of which float16 cannot
    tell neighbouring levels.
    """

    def __init__(self, network: MattingNetwork, dtype: torch.dtype) -> None:
        super().__init__()
        network = copy.deepcopy(network).eval()
        # In float32, before any rounding to half.
        fold_batch_norms(network)
        _order_channels_last(network)
        self.refiner = network.refiner
        if isinstance(network.refiner, DeepGuidedFilter):
            network.refiner.settle()
        network.backbone.lower_precision(dtype)
        for part in (network.aspp, network.decoder, network.project_mat):
            part.to(dtype)
        self.network = network
        self.state_channels = network.state_channels

    def forward(
        self,
        frames: Tensor,
        videos: int,
        states: tuple[Tensor, Tensor, Tensor, Tensor],
        downsample_ratio: Tensor,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Frames uint8 [B*T,H,W,3] of B videos, states and ratio as on the wire.

        Returns:
            Foreground uint8 as the frames, alpha uint8 [B*T,H,W,1], the states after the last
            frame.
        """
        ratio = ratio_value(downsample_ratio)
        check_size(frames, ratio)
        # From the wire they come planar; mixed orders would turn the network planar too.
        states = (
            channels_last(states[0]),
            channels_last(states[1]),
            channels_last(states[2]),
            channels_last(states[3]),
        )
        check_states(frames, videos, ratio, states, self.state_channels)
        image = working_size_image(frames, ratio)
        y, hidden, states = self.network.working_size(image, states, videos)
        a, b = self.coefficients(image, y.float(), hidden, ratio)
        fgr, pha = write_frames(frames, a, b)
        return fgr, pha, states

    def coefficients(
        self, image: Tensor, y: Tensor, hidden: Tensor, ratio: float
    ) -> tuple[Tensor, Tensor]:
        """A and b [N,4,h,w] of `linear_model`."""
        if ratio == 1:
            return linear_model(torch.zeros_like(y), y)
        a, b = self.refiner(image, y, hidden.float())
        return linear_model(a, b)


def _order_channels_last(network: nn.Module) -> None:
    # The frames come with channels last; the convolutions then need no reordering.
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = channels_last(parameter.data)


def channels_last(x: Tensor) -> Tensor:
    """The same values, the channels of a pixel next to each other in memory."""
    return x.contiguous(memory_format=torch.channels_last)


def ratio_value(downsample_ratio: Tensor) -> float:
    """The ratio as the number that was meant.

    float32 holds 0.7 as 0.69999999; without rounding, 1280 pixels would become 895.
    """
    ratio = float(downsample_ratio.item())
    if not 0 < ratio <= 1:
        raise ValueError(f"downsample_ratio is {ratio}; it must be above 0 and at most 1")
    return math.floor(ratio * 1e6 + 0.5) / 1e6


def check_size(frames: Tensor, ratio: float) -> None:
    """Frames [N,H,W,3] of at least one pixel at the working size."""
    height, width = frames.size(1), frames.size(2)
    if math.floor(height * ratio) < 1 or math.floor(width * ratio) < 1:
        raise ValueError(
            f"downsample_ratio {ratio} leaves nothing of frames of {width} x {height} pixels"
        )


def check_states(
    frames: Tensor,
    videos: int,
    ratio: float,
    states: tuple[Tensor, Tensor, Tensor, Tensor],
    channels: list[int],
) -> None:
    """Each state is of this size and ratio, or the start [1,1,1,1]."""
    height = math.floor(frames.size(1) * ratio)
    width = math.floor(frames.size(2) * ratio)
    for index, state in enumerate(states):
        height = (height + 1) // 2
        width = (width + 1) // 2
        expected = [videos, channels[index], height, width]
        shape = list(state.size())
        if shape != expected and shape != [1, 1, 1, 1]:
            raise ValueError(
                f"r{index + 1}i has the shape {shape}, but these frames and this ratio "
                f"need {expected}; start a video with zeros of shape [1, 1, 1, 1]"
            )
