"""How far a matte is from the truth, as the literature on matting measures it.

| name | definition | printed |
| --- | --- | --- |
| `mad`, `mse` | mean absolute and mean squared difference of alpha | times 1e3 |
| `grad` | Rhemann et al. 2009: the squared difference of alpha's gradients, summed | by 1e3 |
| `conn` | Rhemann et al. 2009: the difference of how alpha hangs together, summed | by 1e3 |
| `dtssd` | Erofeev et al. 2015: root mean square of the difference of changes in time | times 1e2 |
| `fgr_mse` | mean squared difference of the foreground where true alpha is above 0 | times 1e3 |

Alpha and foreground count from 0 to 1. The scales are those of the tables of Lin et al. 2022
("Robust High-Resolution Video Matting with Temporal Guidance"), who measure over the whole
picture, without a trimap, and so do we. Sums grow with the picture: compare `grad` and `conn`
between pictures of one size only.

- Rhemann, Rother, Wang, Gelautz, Kohli, Rott: "A Perceptually Motivated Online Benchmark for
  Image Matting", CVPR 2009.
- Erofeev, Gitman, Vatolin, Fedorov, Wang: "Perceptually Motivated Benchmark for Video Matting",
  BMVC 2015.
"""

import math
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rvm_export.evaluate.components import largest_component

UInt8Array = npt.NDArray[np.uint8]
DoubleArray = npt.NDArray[np.float64]

_THOUSAND = 1e3
# Rhemann et al.: the gradient is that of a Gaussian of this width ...
_GRADIENT_SIGMA_PIXELS = 1.4
# ... cut off where it falls below this.
_GRADIENT_EPSILON = 1e-2
# ... and connectivity looks at alpha in these steps, and overlooks differences below theta.
_CONNECTIVITY_STEPS = 10
_CONNECTIVITY_THETA = 0.15


@dataclass(frozen=True)
class Figures:
    """The errors of one frame, or their mean over many: 0 is perfect."""

    mad: float
    mse: float
    grad: float
    conn: float
    dtssd: float
    fgr_mse: float

    @classmethod
    def mean(cls, many: "list[Figures]") -> "Figures":
        """Each figure's mean over one or more."""
        names = [field.name for field in fields(cls)]
        return cls(**{n: sum(getattr(each, n) for each in many) / len(many) for n in names})


@dataclass(frozen=True)
class Frame:
    """One frame of a matte."""

    pha: UInt8Array
    """[H,W], alpha."""
    fgr: UInt8Array
    """[H,W,3], straight foreground."""


def measure(
    found: Frame, true: Frame, found_before: Frame | None, true_before: Frame | None
) -> Figures:
    """The errors of one frame.

    Args:
        found, true: of one size.
        found_before, true_before: the frames before them; None at the first, whose dtSSD counts
            as 0, as in the evaluation of Lin et al.
    """
    a, b = _unit(found.pha), _unit(true.pha)
    dtssd = 0.0
    if found_before is not None and true_before is not None:
        dtssd = change_error(a, _unit(found_before.pha), b, _unit(true_before.pha))
    difference = a - b
    return Figures(
        mad=float(np.abs(difference).mean()) * _THOUSAND,
        mse=float(np.square(difference).mean()) * _THOUSAND,
        grad=gradient_error(a, b),
        conn=connectivity_error(a, b),
        dtssd=dtssd,
        fgr_mse=foreground_error(found.fgr, true),
    )


def gradient_error(found: DoubleArray, true: DoubleArray) -> float:
    """Grad of alphas [H,W], 0 to 1: sum of squared differences of the gradient, in thousands.

    Each alpha is stretched to 0..1 first, which Rhemann et al. do not say, but implementations
    do, that of Lin et al. among them: it only matters where a matte has no full alpha.
    """
    apart = _gradient(_stretched(found)) - _gradient(_stretched(true))
    return float(np.square(apart).sum()) / _THOUSAND


def connectivity_error(found: DoubleArray, true: DoubleArray) -> float:
    """Conn of alphas [H,W], 0 to 1: sum of differences of connectedness, in thousands.

    A pixel is connected up to the highest step at which it belongs to the largest component of
    what both alphas reach. What it has above that lowers its connectedness.
    """
    # float32, as in the evaluation of Lin et al.: at a step exactly, as with alpha 51 of 255,
    # rounding says which side a pixel is on.
    found32, true32 = found.astype(np.float32), true.astype(np.float32)
    steps = np.arange(_CONNECTIVITY_STEPS + 1) * (1 / _CONNECTIVITY_STEPS)
    reached = np.ones(found.shape)
    open_ = np.ones(found.shape, bool)
    for below, step in pairwise(steps):
        belongs = largest_component((found32 >= step) & (true32 >= step))
        reached[open_ & ~belongs] = below
        open_ &= belongs
    apart = _connectedness(found32, reached) - _connectedness(true32, reached)
    return float(np.abs(apart).sum()) / _THOUSAND


def change_error(
    found: DoubleArray, found_before: DoubleArray, true: DoubleArray, true_before: DoubleArray
) -> float:
    """dtSSD of two frames: how differently alphas [H,W], 0 to 1, change; in hundredths."""
    apart = (found - found_before) - (true - true_before)
    return math.sqrt(float(np.square(apart).mean())) * 1e2


def foreground_error(fgr: UInt8Array, true: Frame) -> float:
    """MSE of the foreground [H,W,3] where there is any; 0 where there is none."""
    is_there = true.pha > 0
    if not is_there.any():
        return 0.0
    return float(np.square(_unit(fgr[is_there]) - _unit(true.fgr[is_there])).mean()) * _THOUSAND


def _unit(levels: UInt8Array) -> DoubleArray:
    return levels / 255.0


def _stretched(alpha: DoubleArray) -> DoubleArray:
    low, high = float(alpha.min()), float(alpha.max())
    return np.zeros_like(alpha) if high == low else (alpha - low) / (high - low)


def _gradient(alpha: DoubleArray) -> DoubleArray:
    """The length of the gradient of a Gaussian at each pixel [H,W]; the border goes on."""
    sigma = _GRADIENT_SIGMA_PIXELS
    cut = math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * _GRADIENT_EPSILON))
    radius = math.ceil(sigma * cut)
    x = np.arange(-radius, radius + 1)
    gauss = np.exp(-(x**2) / (2 * sigma**2))
    slope = -x * gauss
    # Of unit length: then factors that both have do not matter.
    gauss, slope = (k / math.sqrt(float(np.square(k).sum())) for k in (gauss, slope))
    across = _filtered(_filtered(alpha, slope, 1), gauss, 0)
    down = _filtered(_filtered(alpha, gauss, 1), slope, 0)
    return np.hypot(across, down)


def _filtered(picture: DoubleArray, kernel: DoubleArray, axis: int) -> DoubleArray:
    radius = len(kernel) // 2
    length = picture.shape[axis]
    widths = [(radius, radius) if each == axis else (0, 0) for each in range(2)]
    padded = np.pad(picture, widths, mode="edge")
    out = np.zeros_like(picture)
    for start, weight in enumerate(kernel):
        window = slice(start, start + length)
        out += weight * (padded[window] if axis == 0 else padded[:, window])
    return out


def _connectedness(alpha: npt.NDArray[np.float32], reached: DoubleArray) -> DoubleArray:
    above = alpha - reached
    return np.asarray(1 - above * (above >= _CONNECTIVITY_THETA))
