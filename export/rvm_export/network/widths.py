"""How many channels each variant of the network has between its parts."""

from dataclasses import dataclass

from rvm_export.wire import Variant

# Of the hidden map that the decoder hands to the projections and the refiner, in each variant.
HIDDEN_CHANNELS = 16


@dataclass(frozen=True)
class Widths:
    """Channels at 1/2, 1/4, 1/8 and 1/16 of the working size, in this order."""

    features: tuple[int, int, int, int]
    """Of the feature maps f1..f4 that the encoder makes."""
    states: tuple[int, int, int, int]
    """Of the recurrent states r1..r4: half of what the decoder's blocks make."""

    @property
    def aspp(self) -> int:
        """Of f4 behind the LR-ASPP, as the decoder's first block takes it."""
        return 2 * self.states[3]


WIDTHS = {
    Variant.MOBILENETV3: Widths((16, 24, 40, 960), (16, 20, 40, 64)),
    Variant.RESNET50: Widths((64, 256, 512, 2048), (16, 32, 64, 128)),
}
