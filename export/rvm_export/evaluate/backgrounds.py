"""Moving backgrounds out of a seed: noise of several scales, with edges before it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from rvm_export.evaluate.metrics import UInt8Array
from rvm_export.evaluate.placing import Placing

DoubleArray = npt.NDArray[np.float64]
Colour = tuple[float, float, float]

# So much larger than the frame: there is room to move.
_MARGIN = 1.5
_OCTAVES = (3, 7, 17, 41, 97)
_SHAPES = 36
# How much of a drawn colour is grey: rooms and streets are rarely bright.
_GREYNESS = 0.6


@dataclass(frozen=True)
class Background:
    """A picture that a camera moves over."""

    picture: UInt8Array
    """[h,w,3]."""
    sweep: float
    """How far it moves to each side, as a share of the room there is."""
    frames_per_sweep: float
    phase: float
    light: Colour = (0.0, 0.0, 0.0)
    """What falls from it on the person, in levels."""

    @classmethod
    def drawn_from(cls, rng: np.random.Generator, width: int, height: int) -> "Background":
        """For frames of this size."""
        size = (int(width * _MARGIN), int(height * _MARGIN))
        picture = _with_shapes(_noise(rng, size), rng)
        sharpness = ImageFilter.GaussianBlur(rng.uniform(0.4, 1.6) * height / 288)
        return cls(
            np.asarray(picture.filter(sharpness)),
            rng.uniform(0.4, 0.9),
            rng.uniform(60, 120),
            rng.uniform(0, 2 * math.pi),
        )

    def at(self, at_frames: float, width: int, height: int) -> UInt8Array:
        """[H,W,3] at a time."""
        high, wide = self.picture.shape[:2]
        turn = 2 * math.pi * at_frames / self.frames_per_sweep + self.phase
        room_x, room_y = (wide - width) / 2, (high - height) / 2
        at = (
            width / 2 + self.sweep * room_x * math.sin(turn),
            height / 2 + self.sweep * room_y * math.sin(0.7 * turn),
        )
        return Placing((wide / 2, high / 2), at).picture(self.picture, width, height)


def _noise(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    total = np.zeros((size[1], size[0], 3))
    for octave in _OCTAVES:
        cells = (octave * size[1] // size[0] + 1, octave, 3)
        grid = Image.fromarray(rng.integers(0, 256, cells, np.uint8))
        total += np.asarray(grid.resize(size, Image.Resampling.BICUBIC)) / math.sqrt(octave)
    total -= total.min()
    return Image.fromarray(_muted(total * (255 / total.max())))


def _with_shapes(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    draw = ImageDraw.Draw(picture)
    for index in range(_SHAPES):
        x, y = rng.uniform(0, picture.width), rng.uniform(0, picture.height)
        w, h = rng.uniform(0.02, 0.2, 2) * picture.height
        colour = tuple(_muted(rng.uniform(0, 255, 3)).tolist())
        box = (x, y, x + w, y + h)
        (draw.rectangle if index % 2 else draw.ellipse)(box, fill=colour)
    return picture


def _muted(colours: DoubleArray) -> UInt8Array:
    """Colours [...,3], with less colour."""
    grey = colours.mean(axis=-1, keepdims=True)
    return np.asarray(_GREYNESS * grey + (1 - _GREYNESS) * colours, np.uint8)
