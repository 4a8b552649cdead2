"""The wire contract of the Triton models: names, dtypes, shapes and nothing else.

| tensor | dtype | shape |
| --- | --- | --- |
| src | UINT8 | [B,T,H,W,3] |
| r1i..r4i | FP32 or FP16 | [B,C,h,w]; the start of a video is zeros of shape [1,1,1,1] |
| downsample_ratio | FP32 | [1] |
| fgr | UINT8 | [B,T,H,W,3] |
| pha | UINT8 | [B,T,H,W,1] |
| r1o..r4o | as r1i | the state to send with the next T frames |

The second model takes and gives pictures packed as I420. What differs:

| tensor | dtype | shape |
| --- | --- | --- |
| src, fgr | UINT8 | [B,T,H*3/2,W] |
| to_rgb, from_rgb | FP32 | [3,4]; after downsample_ratio |

The same two of the other variant have states of other widths, and nothing else differs.
"""

from dataclasses import dataclass
from enum import Enum
from itertools import product, starmap

SRC = "src"
DOWNSAMPLE_RATIO = "downsample_ratio"
TO_RGB = "to_rgb"
FROM_RGB = "from_rgb"
FGR = "fgr"
PHA = "pha"
# The parameter of a model's config that says which version a new video begins with.
ACTIVE_VERSION = "active_version"
STATE_INPUTS = ("r1i", "r2i", "r3i", "r4i")
STATE_OUTPUTS = ("r1o", "r2o", "r3o", "r4o")
INPUTS = (SRC, *STATE_INPUTS, DOWNSAMPLE_RATIO)
YUV_INPUTS = (*INPUTS, TO_RGB, FROM_RGB)

# The size of each state's pixels in those of the downsampled picture.
STATE_STRIDES = (2, 4, 8, 16)


class Variant(str, Enum):
    """Which encoder the network of a model has; the names are what users write."""

    MOBILENETV3 = "mobilenetv3"
    RESNET50 = "resnet50"


# Channels of r1..r4.
STATE_CHANNELS = {
    Variant.MOBILENETV3: (16, 20, 40, 64),
    Variant.RESNET50: (16, 32, 64, 128),
}


@dataclass(frozen=True)
class ModelKind:
    """What a model is, whatever its version."""

    variant: Variant = Variant.MOBILENETV3
    takes_planes: bool = False
    """Whether its pictures are packed as I420, and not RGB."""

    @property
    def name(self) -> str:
        """Triton's name of it."""
        return f"rvm_{self.variant.value}{'_yuv' if self.takes_planes else ''}"

    @property
    def inputs(self) -> tuple[str, ...]:
        """In the order of `config.pbtxt`."""
        return YUV_INPUTS if self.takes_planes else INPUTS

    @property
    def state_channels(self) -> tuple[int, ...]:
        """Of r1..r4."""
        return STATE_CHANNELS[self.variant]


MODELS = {kind.name: kind for kind in starmap(ModelKind, product(Variant, (False, True)))}
"""All models that a server may have, by their names."""

# The first is the one that every server has.
MODEL_NAME, YUV_MODEL_NAME, *_ = MODELS
