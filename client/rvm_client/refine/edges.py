"""The edge of the alpha: its levels, its place and its softness."""

import math

import numpy as np
import numpy.typing as npt

from rvm_client.pixels import UInt8Array
from rvm_client.refine.tiles import OPAQUE

FloatArray = npt.NDArray[np.float32]


def levels_table(black: float, white: float) -> UInt8Array:
    """What becomes of each level of alpha, [256]: (alpha - black) / (white - black), from 0 to 1.

    Args:
        black: alpha of 0 to 1 that becomes 0, and what is below.
        white: alpha of 0 to 1 that becomes 1, and what is above; above `black`.
    """
    alpha = np.arange(256) / OPAQUE
    scaled = ((alpha - black) / (white - black)).clip(0, 1)
    table: UInt8Array = np.rint(scaled * OPAQUE).astype(np.uint8)
    return table


def shrunk(pha: UInt8Array, pixels: float) -> UInt8Array:
    """The alpha with its edge moved inward, or outward where `pixels` is below 0.

    Whole pixels are the least, or the most, of neighbours: in turn of four and of eight of them, so
    that a disc stays nearly one. Between whole pixels it is mixed linearly. A straight upright
    edge so moves by just `pixels`.

    Args:
        pha: [N,H,W] alpha, with ceil(|pixels|) pixels around that are given up.
        pixels: how far.

    Returns:
        [N,H-2*ceil(|pixels|),W-2*ceil(|pixels|)].
    """
    extreme = np.minimum if pixels > 0 else np.maximum
    steps = math.ceil(abs(pixels))
    here, before = pha, pha
    for step in range(steps):
        before, here = here, _of_neighbours(here, extreme, corners=step % 2 == 1)
    inner = before[:, 1:-1, 1:-1] if steps else here
    return _mixed(inner, here, steps - abs(pixels))


def _of_neighbours(pha: UInt8Array, extreme: np.ufunc, *, corners: bool) -> UInt8Array:
    """Of each pixel and its four or eight neighbours; the outermost pixels are given up."""
    rows = extreme(extreme(pha[:, :-2], pha[:, 1:-1]), pha[:, 2:])
    middle = rows if corners else pha[:, 1:-1]
    columns = extreme(extreme(middle[..., :-2], middle[..., 1:-1]), middle[..., 2:])
    found: UInt8Array = extreme(columns, rows[..., 1:-1])
    return found


def _mixed(one: UInt8Array, other: UInt8Array, share_of_one: float) -> UInt8Array:
    if not share_of_one:
        return other
    mixed = one * np.float32(share_of_one) + other * np.float32(1 - share_of_one)
    return np.rint(mixed, out=mixed).astype(np.uint8)


def feathered(pha: UInt8Array, pixels: float) -> UInt8Array:
    """The alpha with an edge that is `pixels` softer, half of it inside and half outside.

    Twice the mean over pixels / 2 + 1, across and down: a hard edge becomes a smooth slope.
    `kernel` has the weights.

    Args:
        pha: [N,H,W] alpha, with `feather_margin` pixels around that are given up.
        pixels: how much.
    """
    weights = kernel(pixels)
    height, width = (size - len(weights) + 1 for size in pha.shape[1:])
    alpha = pha.astype(np.float32)
    across = alpha[..., :width] * weights[0]
    for at, weight in enumerate(weights[1:], 1):
        across += alpha[..., at : at + width] * weight
    soft = across[:, :height] * weights[0]
    for at, weight in enumerate(weights[1:], 1):
        soft += across[:, at : at + height] * weight
    rounded: UInt8Array = np.rint(soft, out=soft).astype(np.uint8)
    return rounded


def kernel(pixels: float) -> FloatArray:
    """Weights of a pixel's neighbours on a line, [2*feather_margin+1]; their sum is 1."""
    radius = pixels / 4
    whole = math.ceil(radius)
    box = np.ones(2 * whole + 1)
    box[[0, -1]] = 1 - (whole - radius)
    twice = np.convolve(box, box)
    weights: FloatArray = (twice / twice.sum()).astype(np.float32)
    return weights


def feather_margin(pixels: float) -> int:
    """How far a pixel's new alpha depends on others."""
    return 2 * math.ceil(pixels / 4)
