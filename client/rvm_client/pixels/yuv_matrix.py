"""Between YUV and RGB of 8 bits, by the formulas of ITU-T H.273, 8.3."""

import numpy as np
import numpy.typing as npt

Matrix = tuple[tuple[float, float, float, float], ...]
"""Three rows of three factors and an offset, for levels of 0 to 255."""

# Kr and Kb, the shares of red and blue in luma, by the code of the matrix: BT.709, FCC, BT.470BG,
# SMPTE 170M, SMPTE 240M, BT.2020 with non-constant luminance.
LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
_BT709 = 1


def rgb_to_yuv(code: int, *, full_range: bool) -> Matrix:
    """The matrix that makes Y, U and V of R, G and B of full range.

    Args:
        code: of the matrix; a key of `LUMA_WEIGHTS`.
        full_range: whether luma is 0 to 255, and not 16 to 235.
    """
    factors, offsets = _factors(code, full_range), _offsets(full_range)
    return _matrix(factors, offsets)


def yuv_to_rgb(code: int, *, full_range: bool) -> Matrix:
    """The way back; arguments as in `rgb_to_yuv`."""
    factors = np.linalg.inv(_factors(code, full_range))
    return _matrix(factors, -factors @ _offsets(full_range))


def _factors(code: int, full_range: bool) -> npt.NDArray[np.float64]:
    red, blue = LUMA_WEIGHTS[code]
    luma = np.array([red, 1 - red - blue, blue])
    blue_difference = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
    red_difference = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
    gains = np.array([[1.0]] * 3 if full_range else [[219 / 255], [224 / 255], [224 / 255]])
    factors: npt.NDArray[np.float64] = gains * np.stack([luma, blue_difference, red_difference])
    return factors


def _offsets(full_range: bool) -> npt.NDArray[np.float64]:
    return np.array([0.0 if full_range else 16.0, 128.0, 128.0])


def _matrix(factors: npt.NDArray[np.float64], offsets: npt.NDArray[np.float64]) -> Matrix:
    rows = np.column_stack([factors, offsets]).tolist()
    return tuple((a, b, c, d) for a, b, c, d in rows)


# What all outputs are tagged as.
RGB_TO_BT709 = rgb_to_yuv(_BT709, full_range=False)
