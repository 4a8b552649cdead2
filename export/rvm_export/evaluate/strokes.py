"""Strokes like loose hair: thin, curved, half transparent, and of known coverage."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from rvm_export.evaluate.person import HEAD_CENTRE, HEAD_RADII
from rvm_export.evaluate.placing import Placing

DoubleArray = npt.NDArray[np.float64]

# Drawn so much larger, then averaged: coverage in 16 steps, finer yet over the sub-frames.
_SUPERSAMPLING = 4
_POINTS = 9
_LENGTHS = (10.0, 42.0)  # the portrait's pixels
_SWAY_FRAMES = 14.0


@dataclass(frozen=True)
class Hair:
    """N strokes around a head, in the portrait's pixels."""

    roots: DoubleArray
    """[N,2]."""
    directions: DoubleArray
    """[N], radians."""
    lengths: DoubleArray
    """[N]."""
    curls: DoubleArray
    """[N], how far the direction turns along the stroke, radians."""
    phases: DoubleArray
    """[N], of the sway."""

    @classmethod
    def drawn_from(cls, rng: np.random.Generator, count: int) -> "Hair":
        """Strokes from the upper three quarters of the head's outline, outwards."""
        around = rng.uniform(0.85 * np.pi, 2.15 * np.pi, count)
        outward = np.stack([np.cos(around), np.sin(around)], axis=-1)
        roots = np.array(HEAD_CENTRE) + 0.93 * outward * HEAD_RADII
        # Hair falls: strokes lean to the side on which they are.
        directions = around + rng.normal(0, 0.35, count)
        curls = np.sign(np.cos(around)) * rng.uniform(0.1, 1.6, count)
        return cls(
            roots, directions, rng.uniform(*_LENGTHS, count), curls, rng.uniform(0, 6.3, count)
        )

    def points(self, at_frames: float) -> DoubleArray:
        """The strokes at a time, [N,9,2] in the portrait's pixels."""
        along = np.linspace(0, 1, _POINTS)
        sway = 0.25 * np.sin(2 * np.pi * at_frames / _SWAY_FRAMES + self.phases)
        turned = (self.curls + sway)[:, None] * along
        direction = self.directions[:, None] + turned
        steps = np.stack([np.cos(direction), np.sin(direction)], axis=-1)
        steps *= (self.lengths / (_POINTS - 1))[:, None, None]
        return np.asarray(self.roots[:, None] + np.cumsum(steps, axis=1) - steps[:, :1])

    def coverage(
        self, at_frames: float, placing: Placing, portrait_scale: float, width: int, height: int
    ) -> DoubleArray:
        """How much of each pixel [H,W] the strokes cover, 0 to 1."""
        size = (width * _SUPERSAMPLING, height * _SUPERSAMPLING)
        canvas = Image.new("L", size)
        draw = ImageDraw.Draw(canvas)
        points = placing.points(self.points(at_frames) * portrait_scale) * _SUPERSAMPLING
        # Half a pixel to one wide, where the portrait is at its own size.
        thickness = _SUPERSAMPLING * portrait_scale * placing.scale
        for index, stroke in enumerate(points):
            wide = max(1, round(thickness * (0.5 + 0.5 * (index % 3) / 2)))
            draw.line([*stroke.ravel().tolist()], fill=255, width=wide)
        return np.asarray(canvas.reduce(_SUPERSAMPLING)) / 255.0
