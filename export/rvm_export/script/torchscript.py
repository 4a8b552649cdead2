"""The network as TorchScript files with the wire contract of the Triton models.

| tensor | dtype | shape |
| --- | --- | --- |
| src | uint8 | RGB: [B,T,H,W,3], full range; YUV: [B,T,H*3/2,W], I420 (see `i420`) |
| r1i..r4i | float32 or float16 | [B,C,h,w]; the start of a video is zeros of shape [1,1,1,1] |
| downsample_ratio | float32 | [1], 0 < ratio <= 1; at 1 the refiner is skipped |
| to_rgb, from_rgb | float32 | YUV only: [3,4], factors and offset for levels of 0..255 |
| fgr | uint8 | as src, straight foreground, rounded to the nearest level |
| pha | uint8 | [B,T,H,W,1], alpha, round(255 * value) |
| r1o..r4o | as r1i | the state to send with the next T frames |

Everything is scripted, not traced: sizes, B, T and the ratio stay dynamic by construction. No
tensor is made from a device or dtype other than its inputs', so the file runs wherever it is
loaded.
"""

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from rvm_export.errors import VerificationError
from rvm_export.network import MattingNetwork
from rvm_export.script.frame_model import FrameModel
from rvm_export.script.i420 import check_matrix, check_packed, packed_frames, rgb_frames
from rvm_export.wire import Layout

# Of its archive, or of what is in it.
_OF_A_NEWER_PYTORCH = re.compile(
    r"Attempted to read a PyTorch file with version \d+|Unknown builtin op: [\w:]+"
)


class RgbModel(nn.Module):
    """The wire contract of `Layout.RGB`."""

    def __init__(self, network: MattingNetwork, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = FrameModel(network, dtype)

    def forward(
        self,
        src: Tensor,
        r1i: Tensor,
        r2i: Tensor,
        r3i: Tensor,
        r4i: Tensor,
        downsample_ratio: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """See the table at the top of the module."""
        check_frames(src)
        states = (r1i, r2i, r3i, r4i)
        fgr, pha, states = self.model(src.flatten(0, 1), src.size(0), states, downsample_ratio)
        pha = pha.view(src.size(0), src.size(1), src.size(2), src.size(3), 1)
        return fgr.view(src.size()), pha, states[0], states[1], states[2], states[3]


class YuvModel(nn.Module):
    """The wire contract of `Layout.YUV`: a conversion of colours before and behind the same."""

    def __init__(self, network: MattingNetwork, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = FrameModel(network, dtype)

    def forward(
        self,
        src: Tensor,
        r1i: Tensor,
        r2i: Tensor,
        r3i: Tensor,
        r4i: Tensor,
        downsample_ratio: Tensor,
        to_rgb: Tensor,
        from_rgb: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """See the table at the top of the module."""
        check_packed(src)
        check_matrix("to_rgb", to_rgb)
        check_matrix("from_rgb", from_rgb)
        packed = src.flatten(0, 1).contiguous()
        frames = rgb_frames(packed, to_rgb)
        states = (r1i, r2i, r3i, r4i)
        fgr, pha, states = self.model(frames, src.size(0), states, downsample_ratio)
        fgr = packed_frames(fgr, from_rgb, packed).view(src.size())
        pha = pha.view(src.size(0), src.size(1), pha.size(1), pha.size(2), 1)
        return fgr, pha, states[0], states[1], states[2], states[3]


def check_frames(src: Tensor) -> None:
    """Frames [B,T,H,W,3] of at least one pixel."""
    if src.dim() != 5 or src.size(4) != 3 or src.numel() == 0:
        raise ValueError(
            f"src has the shape {list(src.size())}; it must be [B,T,H,W,3], none of them 0"
        )


def script(network: MattingNetwork, dtype: torch.dtype, layout: Layout) -> torch.jit.ScriptModule:
    """The network as a frozen TorchScript module with the wire contract of `layout`.

    Args:
        network: with its weights loaded, in float32.
        dtype: torch.float32 or torch.float16, of the weights and the states.
        layout: of the pictures on the wire.
    """
    kind = RgbModel if layout is Layout.RGB else YuvModel
    scripted = torch.jit.script(kind(network, dtype).eval())
    # Freezing does not inline while optimised execution is off: the model would not run.
    with torch.jit.optimized_execution(True):  # type: ignore[attr-defined]
        frozen: torch.jit.ScriptModule = torch.jit.freeze(scripted)
    return frozen


def load(path: Path, device: str) -> torch.jit.ScriptModule:
    """A TorchScript file, on a device.

    Raises:
        VerificationError: a newer PyTorch has made it.
        RuntimeError: it is damaged.
    """
    module: torch.jit.ScriptModule
    try:
        module = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    except RuntimeError as exc:
        if found := _OF_A_NEWER_PYTORCH.search(str(exc)):
            raise VerificationError(
                f"PyTorch {torch.__version__} cannot read {path} ({found[0]}): most likely a newer "
                "one has made it; install that, or export the version again"
            ) from exc
        raise
    return module
