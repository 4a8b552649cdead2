"""Where a picture lies in a frame: moved, turned, scaled."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from rvm_export.evaluate.metrics import UInt8Array

DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Placing:
    """Puts the point `pivot` of a picture at `at` in the frame. Pixels, x before y."""

    pivot: tuple[float, float]
    at: tuple[float, float]
    scale: float = 1.0
    narrowing: float = 1.0
    """Of the width, before it is turned: what a head that looks aside loses. Negative: mirrored."""
    angle: float = 0.0
    """Radians, clockwise."""

    def points(self, points: DoubleArray) -> DoubleArray:
        """Points [...,2] of the picture, in the frame."""
        return np.asarray((points - self.pivot) @ self._matrix().T + self.at)

    def picture(self, picture: UInt8Array, width: int, height: int) -> UInt8Array:
        """What the frame shows of a picture [h,w] or [h,w,3]; 0 where there is none."""
        inverse = np.linalg.inv(self._matrix())
        shift = np.array(self.pivot) - inverse @ np.array(self.at)
        data = (*inverse[0], shift[0], *inverse[1], shift[1])
        placed = Image.fromarray(picture).transform(
            (width, height), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR
        )
        return np.asarray(placed)

    def _matrix(self) -> DoubleArray:
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        return np.asarray(turn @ np.diag([self.scale * self.narrowing, self.scale]))
