"""Arithmetic on pixels that several stages share."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rvm_client.pixels.layouts import UInt8Array

if TYPE_CHECKING:
    import av

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""

# The green that RVM's authors put behind people, and that its users expect.
GREEN: Colour = (120, 255, 155)


# A strip of pixels as 16-bit numbers that stays in the cache of one core: RGB, one component.
_STRIP_PIXELS = 1 << 15
_PLANE_STRIP_PIXELS = 1 << 16


def composite(fgr: UInt8Array, pha: UInt8Array, background: UInt8Array | Colour) -> UInt8Array:
    """Put a straight foreground over a background: fgr * a + background * (1 - a).

    Args:
        fgr: [...,H,W,3] straight foreground colour.
        pha: [...,H,W] alpha.
        background: a colour, or an array that broadcasts to `fgr`.

    Returns:
        [...,H,W,3], rounded to nearest.
    """
    width = fgr.shape[-2]
    colours, alpha = fgr.reshape(-1, width, 3), pha.reshape(-1, width)
    out = np.empty_like(colours)
    step = max(1, _STRIP_PIXELS // width)
    behind = np.asarray(background, np.uint8)
    # A colour becomes one strip: arithmetic that runs over three numbers at a time is slow.
    one_colour = np.tile(behind, (step, width, 1)) if behind.ndim == 1 else None
    if one_colour is None:
        behind = np.broadcast_to(behind, fgr.shape).reshape(-1, width, 3)
    for top in range(0, len(alpha), step):
        strip = slice(top, top + step)
        below = behind[strip] if one_colour is None else one_colour[: len(alpha) - top]
        _blend(colours[strip], alpha[strip], below, out[strip])
    return out.reshape(fgr.shape)


def _blend(fgr: UInt8Array, alpha: UInt8Array, behind: UInt8Array, out: UInt8Array) -> None:
    """One strip, [H,W,3] and [H,W]. Beside a person most of it is clear."""
    shown = np.flatnonzero(alpha.any(axis=0))
    if not shown.size:
        out[:] = behind
        return
    left, right = int(shown[0]), int(shown[-1]) + 1
    out[:, :left], out[:, right:] = behind[:, :left], behind[:, right:]
    middle = np.s_[:, left:right]
    if alpha[middle].min() == 255:
        out[middle] = fgr[middle]
    else:
        mixed = _blended(fgr[middle], alpha[middle], behind[middle])
        np.copyto(out[middle], mixed, casting="unsafe")


def _blended(fgr: UInt8Array, alpha: UInt8Array, behind: UInt8Array) -> npt.NDArray[np.uint16]:
    """(fgr - behind) * a + behind * 255, divided by 255.

    The sum is at most 255 * 255 + 128. 16 bits hold that, and a difference below 0 comes right
    again as they wrap around. (v + (v >> 8)) >> 8 is v / 255, rounded, after 128 was added.
    """
    weights = np.empty(fgr.shape, np.uint16)
    for channel in range(3):
        weights[..., channel] = alpha
    return _mixed(fgr, weights, behind)


def _mixed(
    fgr: UInt8Array, weights: UInt8Array | npt.NDArray[np.uint16], behind: UInt8Array
) -> npt.NDArray[np.uint16]:
    value = np.subtract(fgr, behind, dtype=np.uint16)
    value *= weights
    value += np.multiply(behind, np.uint16(255), dtype=np.uint16)
    value += np.uint16(128)
    value += np.right_shift(value, np.uint16(8))
    value >>= np.uint16(8)
    return value


def composite_plane(
    fgr: UInt8Array, pha: UInt8Array, behind: UInt8Array | int, out: UInt8Array
) -> None:
    """`composite` of one component: all are [H,W], or `behind` is one level."""
    height, width = fgr.shape
    step = max(1, _PLANE_STRIP_PIXELS // width)
    is_level = isinstance(behind, int)
    levels = np.full((step, width), behind, np.uint8) if isinstance(behind, int) else behind
    for top in range(0, height, step):
        strip = slice(top, top + step)
        below = levels[: height - top] if is_level else levels[strip]
        _blend_plane(fgr[strip], pha[strip], below, out[strip])


def _blend_plane(fgr: UInt8Array, alpha: UInt8Array, behind: UInt8Array, out: UInt8Array) -> None:
    if alpha.max() == 0:
        out[:] = behind
    elif alpha.min() == 255:
        out[:] = fgr
    else:
        np.copyto(out, _mixed(fgr, alpha, behind), casting="unsafe")


def halved(plane: UInt8Array) -> UInt8Array:
    """The means of 2x2 pixels of [H,W], both even, rounded to nearest: [H/2,W/2]."""
    # Each number of 16 bits is two neighbours.
    pairs = np.ascontiguousarray(plane).view(np.uint16)
    sums = pairs & np.uint16(255)
    sums += pairs >> np.uint16(8)
    total = sums[0::2] + sums[1::2]
    total += np.uint16(2)
    total >>= np.uint16(2)
    return total.astype(np.uint8)


def checkerboard(height_pixels: int, width_pixels: int, square_pixels: int = 16) -> UInt8Array:
    """The grey pattern that stands for transparency, [H,W,3]."""
    rows = np.arange(height_pixels)[:, np.newaxis] // square_pixels
    columns = np.arange(width_pixels)[np.newaxis, :] // square_pixels
    grey = np.where((rows + columns) % 2, 255, 204).astype(np.uint8)
    return np.repeat(grey[..., np.newaxis], 3, axis=-1)


def plane_rows(plane: "av.video.plane.VideoPlane") -> UInt8Array:
    """The bytes of a picture plane as [rows, bytes of a row], padding included; no copy."""
    flat: UInt8Array = np.frombuffer(memoryview(plane), np.uint8)
    return flat.reshape(plane.height, plane.line_size)
