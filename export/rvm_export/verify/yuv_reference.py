"""The YUV layout by its definition, plainly, in numpy and float64: the yardstick for `i420`."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rvm_export.verify.run import EagerModel, Outputs

Bytes = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]

# BT.709 in limited range (ITU-T H.273): luma of red, green and blue; levels of Y and of U, V.
_LUMA = np.array([0.2126, 0.7152, 0.0722])
_BLUE_DIFFERENCE = (np.array([0, 0, 1]) - _LUMA) / (2 * (1 - _LUMA[2]))
_RED_DIFFERENCE = (np.array([1, 0, 0]) - _LUMA) / (2 * (1 - _LUMA[0]))
_FACTORS = np.stack([219 * _LUMA, 224 * _BLUE_DIFFERENCE, 224 * _RED_DIFFERENCE]) / 255
_OFFSETS = np.array([16.0, 128.0, 128.0])

# Rounded so that float32 computes them exactly, in whatever order: else a value between two
# levels could become either, and one level of one pixel is several of alpha on a hair.
_STEPS = 1024


def _rounded(factors: Matrix, offsets: Matrix) -> Matrix:
    return np.asarray(np.rint(np.column_stack([factors, offsets]) * _STEPS) / _STEPS)


FROM_RGB = _rounded(_FACTORS, _OFFSETS)
TO_RGB = _rounded(np.linalg.inv(_FACTORS), -np.linalg.inv(_FACTORS) @ _OFFSETS)


def to_i420(rgb: Bytes, from_rgb: Matrix = FROM_RGB) -> Bytes:
    """RGB [...,H,W,3] of even size -> I420 [...,H*3/2,W], chroma the mean of each 2x2 pixels."""
    *lead, height, width, _ = rgb.shape
    yuv = rgb @ from_rgb[:, :3].T + from_rgb[:, 3]
    chroma = yuv[..., 1:].reshape(*lead, height // 2, 2, width // 2, 2, 2).mean((-4, -2))
    parts = (yuv[..., 0], chroma[..., 0], chroma[..., 1])
    flat = np.concatenate([part.reshape(*lead, -1) for part in parts], -1)
    return _levels(flat).reshape(*lead, height * 3 // 2, width)


def to_rgb(i420: Bytes, matrix: Matrix = TO_RGB) -> Bytes:
    """I420 [...,H*3/2,W] -> RGB [...,H,W,3], each sample of chroma for its 2x2 pixels."""
    *lead, rows, width = i420.shape
    height = rows * 2 // 3
    flat = i420.reshape(*lead, rows * width)
    luma = flat[..., : height * width].reshape(*lead, height, width)
    chroma = flat[..., height * width :].reshape(*lead, 2, height // 2, width // 2)
    chroma = chroma.repeat(2, -2).repeat(2, -1)
    yuv = np.stack([luma, chroma[..., 0, :, :], chroma[..., 1, :, :]], -1)
    return _levels(yuv @ matrix[:, :3].T + matrix[:, 3])


class EagerYuvModel:
    """The plain network behind the YUV layout."""

    def __init__(self, model: EagerModel) -> None:
        self.model = model

    def __call__(
        self,
        src: Tensor,
        r1: Tensor,
        r2: Tensor,
        r3: Tensor,
        r4: Tensor,
        ratio: Tensor,
        into_rgb: Tensor,
        from_rgb: Tensor,
    ) -> Outputs:
        """As `YuvModel.forward`."""
        rgb = to_rgb(src.numpy(), into_rgb.double().numpy())
        fgr, pha, *states = self.model(torch.from_numpy(rgb), r1, r2, r3, r4, ratio)
        planes = torch.from_numpy(to_i420(fgr.numpy(), from_rgb.double().numpy()))
        return planes, pha, states[0], states[1], states[2], states[3]


def _levels(values: Matrix) -> Bytes:
    return np.asarray(np.floor(values.clip(0, 255) + 0.5), np.uint8)
