"""What is put behind the person: a colour, a picture or a video, scaled to cover the frame."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from rvm_client.encode.yuv import rgb_frame
from rvm_client.pixels import Colour, UInt8Array


class Backdrop(Protocol):
    """What is behind the person at each moment."""

    def at(self, seconds: float) -> UInt8Array | Colour:
        """A colour or a picture [H,W,3]; `seconds` since the first frame, never going back.

        Raises:
            InputError: the background video cannot be decoded.
        """


class ColourBackdrop:
    """One colour."""

    def __init__(self, colour: Colour) -> None:
        self._colour = colour

    def at(self, seconds: float) -> Colour:  # noqa: ARG002
        """See Backdrop."""
        return self._colour


class PictureBackdrop:
    """One picture, [H,W,3], of the size of the output."""

    def __init__(self, picture: UInt8Array) -> None:
        self._picture = picture

    def at(self, seconds: float) -> UInt8Array:  # noqa: ARG002
        """See Backdrop."""
        return self._picture


class VideoBackdrop:
    """A video that runs beside the person's, and starts again when it is over.

    Args:
        pictures: time since the start and picture [h,w,3], without end, in order.
        width_pixels, height_pixels: the size of the output.
        stretch: see `cover`.
    """

    def __init__(
        self,
        pictures: Iterator[tuple[float, UInt8Array]],
        width_pixels: int,
        height_pixels: int,
        stretch: float,
    ) -> None:
        self._pictures = pictures
        self._fit = width_pixels, height_pixels, stretch
        _, picture = next(pictures)
        self._shown = cover(picture, *self._fit)
        self._next = next(pictures)

    def at(self, seconds: float) -> UInt8Array:
        """See Backdrop: the last picture that begins at or before `seconds`."""
        due: UInt8Array | None = None
        # Half a tick of the finest usual time base: sums of times are not exact.
        while self._next[0] <= seconds + 5e-6:
            due = self._next[1]
            self._next = next(self._pictures)
        if due is not None:
            self._shown = cover(due, *self._fit)
        return self._shown


def cover(
    picture: UInt8Array, width_pixels: int, height_pixels: int, stretch: float = 1.0
) -> UInt8Array:
    """Scale a picture [h,w,3] and cut its middle out, so that it fills the size without gaps.

    `stretch` is how much wider its pixels are than those of the output.
    """
    height, width = picture.shape[:2]
    if (width, height, stretch) == (width_pixels, height_pixels, 1.0):
        return picture
    scale = min(width * stretch / width_pixels, height / height_pixels)
    kept_width = max(1, round(width_pixels * scale / stretch))
    kept_height = max(1, round(height_pixels * scale))
    left, top = (width - kept_width) // 2, (height - kept_height) // 2
    middle = picture[top : top + kept_height, left : left + kept_width]
    interpolation = "AREA" if scale > 1 else "BICUBIC"
    scaled = rgb_frame(middle).reformat(width_pixels, height_pixels, interpolation=interpolation)
    return scaled.to_ndarray().astype(np.uint8, copy=False)
