"""From the stored picture to the upright one: orientation, size, pixel shape."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.sidedata.sidedata import Type as SideDataType

_MATRIX = struct.Struct("=9i")


@dataclass(frozen=True)
class Orientation:
    """How a stored picture becomes upright: transposed first, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    """Left and right change places."""
    mirrored_y: bool = False
    """Top and bottom change places."""


UPRIGHT = Orientation()


def orientation(frame: av.VideoFrame) -> Orientation:
    """The orientation that the display matrix of a frame asks for.

    The matrix maps a stored point (x, y) to (a x + c y, b x + d y), see ISO/IEC 14496-12,
    8.3.2. Angles between the quarter turns go to the nearest, as players do.
    """
    # PyAV's types know no other key than MOTION_VECTORS.
    side_data = cast("Mapping[SideDataType, bytes]", frame.side_data)
    matrix = bytes(side_data.get(SideDataType.DISPLAYMATRIX, b""))
    if len(matrix) < _MATRIX.size:
        return UPRIGHT
    a, b, _, c, d, *_ = _MATRIX.unpack_from(matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(mirrored_x=a < 0, mirrored_y=d < 0)
    return Orientation(transposed=True, mirrored_x=c < 0, mirrored_y=b < 0)


@dataclass(frozen=True)
class Geometry:
    """Sizes of a picture on its way in; lengths in pixels."""

    stored_width: int
    stored_height: int
    scaled_width: int
    scaled_height: int
    """After scaling down, before turning."""
    orientation: Orientation
    sample_aspect_ratio: Fraction
    """Width to height of a pixel of the upright picture."""

    @property
    def width_pixels(self) -> int:
        """The width of the upright picture."""
        return self.scaled_height if self.orientation.transposed else self.scaled_width

    @property
    def height_pixels(self) -> int:
        """The height of the upright picture."""
        return self.scaled_width if self.orientation.transposed else self.scaled_height

    @property
    def is_scaled(self) -> bool:
        """Whether the picture changes its size."""
        stored = (self.stored_width, self.stored_height)
        return stored != (self.scaled_width, self.scaled_height)


def geometry(
    frame: av.VideoFrame,
    sample_aspect_ratio: Fraction | None,
    max_width_pixels: int | None,
    max_height_pixels: int | None,
) -> Geometry:
    """The way from the stored picture to an upright one within the given bounds.

    The bounds are those of the upright picture; the picture keeps its shape and is never
    made larger.
    """
    turn = orientation(frame)
    ratio = sample_aspect_ratio or Fraction(1)
    if turn.transposed:
        max_width_pixels, max_height_pixels = max_height_pixels, max_width_pixels
        ratio = 1 / ratio
    width, height = _fit(frame.width, frame.height, max_width_pixels, max_height_pixels)
    return Geometry(frame.width, frame.height, width, height, turn, ratio)


def _fit(width: int, height: int, max_width: int | None, max_height: int | None) -> tuple[int, int]:
    scale = min(
        Fraction(1),
        Fraction(max_width or width, width),
        Fraction(max_height or height, height),
    )
    if scale == 1:
        return width, height
    return _even(width * scale), _even(height * scale)


def _even(length: Fraction) -> int:
    """Even, because the outputs want it so; down, so that the bounds hold."""
    return max(2, int(length / 2) * 2)
