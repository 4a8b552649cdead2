"""Screens as in a studio: one colour, lit unevenly, with folds and marks for tracking."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rvm_export.evaluate.backgrounds import Colour
from rvm_export.evaluate.metrics import UInt8Array

DoubleArray = npt.NDArray[np.float64]

COLOURS: tuple[Colour, ...] = ((45, 160, 70), (30, 190, 60), (35, 70, 180), (70, 170, 85))
# How much of the screen's colour falls on the person.
_SPILL = 0.06
_DARKEST, _LAMP = 0.72, 0.4
_FOLDS, _FOLD_DEPTH = 6, 0.012
_MARKS, _MARK_SHADE = 5, 0.7


@dataclass(frozen=True)
class Screen:
    """A picture that does not move."""

    picture: UInt8Array
    """[H,W,3]."""
    light: Colour
    """What falls from it on the person, in levels."""

    @classmethod
    def drawn_from(
        cls, rng: np.random.Generator, colour: Colour, width: int, height: int
    ) -> "Screen":
        """For frames of this size."""
        shade = _shade(rng, width, height)
        for _ in range(_MARKS):
            _mark(
                shade, int(rng.uniform(0.05, 0.95) * width), int(rng.uniform(0.05, 0.95) * height)
            )
        picture = np.clip(np.rint(shade[..., None] * np.array(colour)), 0, 255)
        red, green, blue = (_SPILL * level for level in colour)
        return cls(picture.astype(np.uint8), (red, green, blue))

    def at(self, at_frames: float, width: int, height: int) -> UInt8Array:  # noqa: ARG002
        """[H,W,3] at a time."""
        return self.picture


def _shade(rng: np.random.Generator, width: int, height: int) -> DoubleArray:
    """How bright the screen is, [H,W], about 1: a lamp that is brightest somewhere, and folds."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    apart = (x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.2, 0.6)) ** 2
    shade = _DARKEST + _LAMP * np.exp(-apart / 0.18)
    for _ in range(_FOLDS):
        angle, per_picture = rng.uniform(0, math.pi), rng.uniform(6, 25)
        along = x * math.cos(angle) + y * math.sin(angle)
        phase = rng.uniform(0, 2 * math.pi)
        shade *= 1 + _FOLD_DEPTH * np.sin(2 * math.pi * per_picture * along + phase)
    return np.asarray(shade)


def _mark(shade: DoubleArray, x: int, y: int) -> None:
    """A small cross, darker than what is around it."""
    height = shade.shape[0]
    arm, half = max(3, height // 60), max(1, height // 240)
    shade[y - half : y + half + 1, max(x - arm, 0) : x + arm + 1] *= _MARK_SHADE
    shade[max(y - arm, 0) : y + arm + 1, x - half : x + half + 1] *= _MARK_SHADE
