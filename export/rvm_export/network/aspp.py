"""The LR-ASPP between the encoder and the decoder."""

from torch import Tensor, nn

from rvm_export.network.layers import conv_bn_act
from rvm_export.network.widths import Widths


class LRASPP(nn.Module):
    """Lite reduced atrous spatial pyramid pooling (Howard et al. 2019): local times global."""

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        channels = widths.features[3]
        self.aspp1 = conv_bn_act(channels, widths.aspp, 1, nn.ReLU(inplace=True))
        self.aspp2 = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, widths.aspp, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, f4: Tensor) -> Tensor:
        weighted: Tensor = self.aspp1(f4) * self.aspp2(f4)
        return weighted
