"""What Triton's `config.pbtxt` and the TorchScript file agree on: names, order, precision."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

STATES_IN = ("r1i", "r2i", "r3i", "r4i")
STATES_OUT = ("r1o", "r2o", "r3o", "r4o")
OUTPUTS = ("fgr", "pha", *STATES_OUT)


class Variant(str, Enum):
    """Which encoder the network has. Each has weights of its own, and versions of its own."""

    MOBILENETV3 = "mobilenetv3"
    RESNET50 = "resnet50"

    @property
    def paper_name(self) -> str:
        """As the paper writes it, for people."""
        return {"mobilenetv3": "MobileNetV3", "resnet50": "ResNet50"}[self.value]


class Refiner(str, Enum):
    """How the matte gets from the working size to full resolution."""

    DEEP = "deep_guided_filter"
    FAST = "fast_guided_filter"


class Layout(str, Enum):
    """How pixels lie on the wire. Each layout is a model of its own, of the same weights."""

    RGB = "rgb"  # bytes of RGB, full range
    YUV = "yuv"  # a codec's own planes, packed as I420; matrix and range are the caller's

    @property
    def inputs(self) -> tuple[str, ...]:
        """In the order of `forward` and of `config.pbtxt`. All layouts have the same `OUTPUTS`."""
        matrices = () if self is Layout.RGB else ("to_rgb", "from_rgb")
        return ("src", *STATES_IN, "downsample_ratio", *matrices)


class Format(str, Enum):
    """What kind of file a version is. Each is for a backend of Triton's."""

    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"

    @property
    def file_name(self) -> str:
        """The name that Triton's backend looks for in a version's folder."""
        return "model.pt" if self is Format.TORCHSCRIPT else "model.onnx"


@dataclass(frozen=True)
class ModelKind:
    """What one of Triton's models is, whatever its version."""

    variant: Variant = Variant.MOBILENETV3
    layout: Layout = Layout.RGB
    format: Format = Format.TORCHSCRIPT

    @property
    def name(self) -> str:
        """Triton's name of the model, and of its folder in the repository."""
        layout = "" if self.layout is Layout.RGB else f"_{self.layout.value}"
        suffix = "" if self.format is Format.TORCHSCRIPT else f"_{self.format.value}"
        return f"rvm_{self.variant.value}{layout}{suffix}"


DEFAULT_KIND = ModelKind()
KINDS = tuple(ModelKind(variant, layout) for variant in Variant for layout in Layout)
# Of RGB alone, and in a repository of their own: see `repository.check_format`.
ONNX_KINDS = tuple(ModelKind(variant, format=Format.ONNX) for variant in Variant)


class Precision(str, Enum):
    """The precision of the weights and of the states on the wire."""

    FP32 = "fp32"
    FP16 = "fp16"

    @property
    def dtype(self) -> "torch.dtype":
        """PyTorch's name for it."""
        # Versions are rolled out where no PyTorch is.
        import torch

        return torch.float32 if self is Precision.FP32 else torch.float16

    @property
    def triton_type(self) -> str:
        """Triton's name for it in `config.pbtxt`."""
        return f"TYPE_{self.value.upper()}"
