"""A person before a moving background, between two cuts: each frame with its true alpha."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rvm_export.evaluate.backgrounds import Background, Colour
from rvm_export.evaluate.metrics import UInt8Array
from rvm_export.evaluate.person import (
    PIVOT,
    PORTRAIT_HEIGHT_PIXELS,
    CutOut,
    cut_out,
)
from rvm_export.evaluate.placing import Placing
from rvm_export.evaluate.screens import Screen
from rvm_export.evaluate.strokes import Hair

DoubleArray = npt.NDArray[np.float64]

# Above her head, as a share of the frame's height.
_HEADROOM = 0.06


@dataclass(frozen=True)
class Kind:
    """What a clip is hard for."""

    name: str
    strokes: int
    """Of loose hair."""
    closeness: tuple[float, ...]
    """Her size, to that in the portrait: a shot for each, with a cut between two."""
    sweep: float
    """How far she moves to each side, as a share of the frame's width."""
    frames_per_sweep: float
    exposure_frames: float
    """How long the shutter is open, in frames."""
    moments: int
    """Within the exposure."""


@dataclass(frozen=True)
class MadeFrame:
    """One frame and what it is composed of."""

    com: UInt8Array
    """[H,W,3]."""
    pha: UInt8Array
    """[H,W]."""
    fgr: UInt8Array
    """[H,W,3]."""
    bgr: UInt8Array
    """[H,W,3]."""


@dataclass(frozen=True)
class Shot:
    """What is between two cuts."""

    kind: Kind
    closeness: float
    person: CutOut
    hair: Hair
    background: Background | Screen
    width: int
    height: int
    stands_at: float
    """As a share of the frame's width."""
    is_mirrored: bool
    lean: float
    """Radians, at most."""
    phase: float

    @classmethod
    def drawn_from(
        cls,
        rng: np.random.Generator,
        kind: Kind,
        number: int,
        width: int,
        height: int,
        screen: Screen | None = None,
    ) -> "Shot":
        """The shot of this number of a clip; before the screen, if there is one."""
        person = cut_out(height)
        tint = rng.uniform(0.75, 1.05, 3)
        # After a cut she stands elsewhere, and the other way round.
        is_mirrored = number % 2 == 1
        at = rng.uniform(0.25, 0.4) if len(kind.closeness) > 1 else rng.uniform(0.35, 0.65)
        return cls(
            kind,
            kind.closeness[number],
            replace(person, fgr=_levels(person.fgr * tint)),
            Hair.drawn_from(rng, kind.strokes),
            screen or Background.drawn_from(rng, width, height),
            width,
            height,
            stands_at=1 - at if is_mirrored else at,
            is_mirrored=is_mirrored,
            lean=rng.uniform(0.04, 0.12),
            phase=rng.uniform(0, 2 * math.pi),
        )

    def frame(self, index: float) -> MadeFrame:
        """Colour and alpha over the moments of the exposure."""
        count = self.kind.moments
        offsets = (np.arange(count) + 0.5) / count - 0.5
        times = [index + self.kind.exposure_frames * offset for offset in offsets]
        alpha = np.zeros((self.height, self.width))
        colour, behind = (np.zeros((self.height, self.width, 3)) for _ in range(2))
        plain = np.zeros_like(colour)
        for time in times:
            pha, premultiplied, filled = self._moment(time)
            alpha += pha / count
            colour += premultiplied / count
            plain += filled / count
            behind += self.background.at(time, self.width, self.height) / count
        there = alpha[..., None]
        fgr = np.where(there > 0, colour / np.maximum(there, 1e-9), plain)
        return composed(_levels(alpha * 255), _levels(fgr), _levels(behind), self.background.light)

    def _moment(self, time: float) -> tuple[DoubleArray, DoubleArray, UInt8Array]:
        """Alpha [H,W], colour times alpha, and her colour filled beyond the edge [H,W,3]."""
        placing = self._placing(time)
        size = self.width, self.height
        fgr = placing.picture(self.person.fgr, *size)
        hers = placing.picture(self.person.pha, *size) / 255.0
        hair = self.hair.coverage(time, placing, self.person.scale, *size)
        below = hers * (1 - hair)
        premultiplied = below[..., None] * fgr + hair[..., None] * self.person.hair_colour
        return hair + below, premultiplied, fgr

    def _placing(self, time: float) -> Placing:
        turn = 2 * math.pi * time / self.kind.frames_per_sweep + self.phase
        aside = 1 - 0.2 * math.sin(0.8 * turn) ** 2
        scale = self.closeness * (1 + 0.06 * math.sin(0.6 * turn))
        x = self.stands_at + self.kind.sweep * math.sin(turn)
        # The closer she is, the lower: her head stays in the picture.
        y = _HEADROOM - 0.02 * math.sin(1.3 * turn) + PIVOT[1] / PORTRAIT_HEIGHT_PIXELS * scale
        pivot = np.array(PIVOT) * self.person.scale
        return Placing(
            (float(pivot[0]), float(pivot[1])),
            (x * self.width, y * self.height),
            scale,
            -aside if self.is_mirrored else aside,
            self.lean * math.sin(0.9 * turn + 1),
        )


def composed(
    pha: UInt8Array, fgr: UInt8Array, bgr: UInt8Array, light: Colour = (0.0, 0.0, 0.0)
) -> MadeFrame:
    """The composite of what is kept, so that the files of a frame agree to half a level.

    `light` is what falls from behind on the person, in levels: it is in the composite only.
    """
    alpha = pha[..., None].astype(np.float64)
    lit = fgr + np.array(light)
    return MadeFrame(_levels((alpha * lit + (255 - alpha) * bgr) / 255), pha, fgr, bgr)


def _levels(values: DoubleArray) -> UInt8Array:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
