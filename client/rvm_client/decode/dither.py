"""More than 8 bits to 8: dithered, so that what lies between two levels is not lost."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rvm_client.pixels import UInt8Array

UInt16Array = npt.NDArray[np.uint16]

# 255 in fixed point with 8 bits after the point.
_WHITE = 255 << 8


def _bayer(order: int) -> npt.NDArray[np.int64]:
    """Bayer's matrix of side 2**order: 0 to 4**order - 1, each once."""
    if order == 0:
        return np.zeros((1, 1), np.int64)
    quarter = 4 * _bayer(order - 1)
    return np.block([[quarter, quarter + 2], [quarter + 3, quarter + 1]])


# Thresholds spread evenly over one 8-bit level. Ordered rather than diffused: the pattern of
# a still picture stands still, which costs encoders few bits and does not flicker.
_THRESHOLDS = (_bayer(3) * 4 + 2).astype(np.uint16)


@lru_cache(maxsize=4)
def _threshold_rows(width: int) -> UInt16Array:
    """One row of thresholds for each of 8 picture rows, [8, W * 3]."""
    rows = np.tile(_THRESHOLDS, (1, -(-width // 8)))[:, :width]
    return np.repeat(rows, 3, axis=1)


def dither_into(out: UInt8Array, rows: UInt16Array, white: int) -> None:
    """Reduce 16-bit RGB to 8 bits; local means stay.

    Args:
        out: [H,W,3] full range, is written.
        rows: [H,W*3]; is used up.
        white: the value that becomes 255, from 65280 to 65535.
    """
    height, width = out.shape[:2]
    if white > _WHITE:
        _scale_to_white(rows, white)
    np.minimum(rows, _WHITE, out=rows)
    for phase, thresholds in enumerate(_threshold_rows(width)):
        rows[phase::8] += thresholds
    rows >>= 8
    np.copyto(out.reshape(height, -1), rows, casting="unsafe")


def _scale_to_white(rows: UInt16Array, white: int) -> None:
    """Multiply by 65280 / white, with white = (2**b - 1) << (16 - b): by 1 - 2**-8 + 2**-b."""
    bits = 16 - (0xFFFF - white).bit_length()
    correction = rows >> np.uint16(8)
    if bits < 16:
        correction -= rows >> np.uint16(bits)
    rows -= correction
