"""RobustVideoMatting, as the paper and the checkpoints define it.

Lin, Yang, Saleemi, Sengupta: "Robust High-Resolution Video Matting with Temporal Guidance",
WACV 2022, arXiv 2108.11515. The module tree gives exactly the keys of the official checkpoint
of the variant.
This is the plain definition in floats; `script` arranges the same modules for serving.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvm_export.network.aspp import LRASPP
from rvm_export.network.decoder import RecurrentDecoder
from rvm_export.network.layers import Projection
from rvm_export.network.mobilenetv3 import MobileNetV3Encoder
from rvm_export.network.refiner import DeepGuidedFilter, FastGuidedFilter, apply_linear
from rvm_export.network.resnet50 import ResNet50Encoder
from rvm_export.network.widths import HIDDEN_CHANNELS, WIDTHS
from rvm_export.wire import Refiner, Variant

States = tuple[Tensor, Tensor, Tensor, Tensor]


ENCODERS: dict[Variant, type[MobileNetV3Encoder] | type[ResNet50Encoder]] = {
    Variant.MOBILENETV3: MobileNetV3Encoder,
    Variant.RESNET50: ResNet50Encoder,
}


class MattingNetwork(nn.Module):
    """The whole network. `forward` defines the result, `working_size` is what costs time."""

    def __init__(self, refiner: Refiner, variant: Variant = Variant.MOBILENETV3) -> None:
        super().__init__()
        widths = WIDTHS[variant]
        # TorchScript sees attributes, and of these no enumerations.
        self.state_channels = list(widths.states)
        self.backbone = ENCODERS[variant]()
        self.aspp = LRASPP(widths)
        self.decoder = RecurrentDecoder(widths)
        self.project_mat = Projection(HIDDEN_CHANNELS, 4)
        # A head used in training only, kept so that checkpoints load with strict=True.
        self.project_seg = Projection(HIDDEN_CHANNELS, 1)
        self.refiner = DeepGuidedFilter() if refiner is Refiner.DEEP else FastGuidedFilter()

    def working_size(
        self, image: Tensor, states: tuple[Tensor, Tensor, Tensor, Tensor], videos: int
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Everything but the refiner, at the working size h x w.

        Args:
            image: RGB in 0..1, [B*T,3,h,w].
            states: r1..r4, each [B,C,·,·], or [1,1,1,1] zeros at the start of the videos.
            videos: B.

        Returns:
            Foreground residual and alpha [B*T,4,h,w] (not clamped), the hidden map
            [B*T,16,h,w], and the states after the last frame.
        """
        f1, f2, f3, f4 = self.backbone(image)
        image = image.to(f4.dtype)
        hidden, states = self.decoder(image, (f1, f2, f3, self.aspp(f4)), states, videos)
        return self.project_mat(hidden), hidden, states

    def forward(
        self, src: Tensor, states: tuple[Tensor, Tensor, Tensor, Tensor], downsample_ratio: float
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
        """RGB in 0..1 [B,T,3,H,W] -> foreground [B,T,3,H,W], alpha [B,T,1,H,W], states."""
        videos = src.size(0)
        rgb = src.flatten(0, 1)
        image = rgb if downsample_ratio == 1 else resize(rgb, downsample_ratio)
        y, hidden, states = self.working_size(image, states, videos)
        if downsample_ratio != 1:
            a, b = self.refiner(image, y, hidden)
            y = apply_linear(rgb, a, b)
        residual, alpha = torch.split(y, [3, 1], dim=1)
        foreground = (residual + rgb).clamp(0, 1).reshape(src.size())
        alpha = alpha.clamp(0, 1).reshape(videos, src.size(1), 1, src.size(3), src.size(4))
        return foreground, alpha, states


def resize(rgb: Tensor, ratio: float) -> Tensor:
    """[N,3,H,W] -> [N,3,floor(H*ratio),floor(W*ratio)], the ratio itself placing the samples."""
    return F.interpolate(
        rgb,
        scale_factor=[ratio, ratio],
        mode="bilinear",
        align_corners=False,
        recompute_scale_factor=False,
    )


def fold_batch_norms(network: nn.Module) -> None:
    """Put every batch norm into the convolution before it, in place, in evaluation mode.

    Children of a module stand in the order of their use: a batch norm is that of the convolution
    before it.
    """
    for module in list(network.modules()):
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, nn.utils.fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
