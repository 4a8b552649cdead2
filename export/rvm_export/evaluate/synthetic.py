"""A dataset with true alpha that can be made anywhere, without downloads.

A person with a known alpha leans, turns and comes closer before moving backgrounds, with loose
hair, motion blur and a cut. Everything follows from a seed: on one machine with the same
libraries, the same bytes.

What is exact: `com` is `pha * fgr + (1 - pha) * bgr` of the files beside it, to half a level.
Motion blur is the mean of alpha, and of colour weighted by alpha, over moments within the exposure.
What it is not: the world. One person, drawn hair, backgrounds of noise and shapes, no light that
falls from one on the other, no noise of a camera, no compression. Figures on it say which of two
models, ratios or settings is better here; they cannot be compared with those of other sets.
"""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import numpy.typing as npt
from PIL import Image

from rvm_export.errors import DatasetError
from rvm_export.evaluate.backgrounds import Background
from rvm_export.evaluate.metrics import UInt8Array
from rvm_export.evaluate.person import (
    PIVOT,
    PORTRAIT_HEIGHT_PIXELS,
    CutOut,
    cut_out,
)
from rvm_export.evaluate.placing import Placing
from rvm_export.evaluate.strokes import Hair

DoubleArray = npt.NDArray[np.float64]

SIZE_BOUNDS_PIXELS = (64, 4096)
# Above her head, as a share of the frame's height.
_HEADROOM = 0.06


@dataclass(frozen=True)
class MadeSet:
    """What to make."""

    seed: int = 0
    clips: int = 4
    frames: int = 48
    """Of each clip."""
    width_pixels: int = 512
    height_pixels: int = 288


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


KINDS = (
    Kind("turning", 30, (1.0,), 0.08, 50, 0.5, 4),
    Kind("hair", 240, (1.25,), 0.05, 60, 0.25, 3),
    Kind("motion_blur", 60, (1.0,), 0.16, 24, 0.7, 12),
    Kind("cut", 60, (1.15, 0.85), 0.07, 40, 0.5, 4),
)


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
class _Shot:
    """What is between two cuts."""

    kind: Kind
    closeness: float
    person: CutOut
    hair: Hair
    background: Background
    width: int
    height: int
    stands_at: float
    """As a share of the frame's width."""
    is_mirrored: bool
    lean: float
    """Radians, at most."""
    phase: float

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
        return composed(_levels(alpha * 255), _levels(fgr), _levels(behind))

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


def composed(pha: UInt8Array, fgr: UInt8Array, bgr: UInt8Array) -> MadeFrame:
    """The composite of what is kept, so that the files of a frame agree to half a level."""
    alpha = pha[..., None].astype(np.float64)
    return MadeFrame(_levels((alpha * fgr + (255 - alpha) * bgr) / 255), pha, fgr, bgr)


def made_frames(made: MadeSet, clip: int) -> list["partial[MadeFrame]"]:
    """What makes each frame of a clip, in order."""
    kind = KINDS[clip % len(KINDS)]
    rng = np.random.default_rng([made.seed, clip])
    shots = [_drawn_shot(rng, kind, made, number) for number in range(len(kind.closeness))]
    shot_of = [shots[index * len(shots) // made.frames] for index in range(made.frames)]
    return [partial(_Shot.frame, shot, index) for index, shot in enumerate(shot_of)]


def clip_name(clip: int) -> str:
    """Such as `0003_cut`."""
    return f"{clip:04d}_{KINDS[clip % len(KINDS)].name}"


def make_dataset(folder: Path, made: MadeSet, on_frame: Callable[[], None]) -> None:
    """Make the set in a folder that is not there yet, or empty; all of it or nothing.

    Raises:
        DatasetError: the folder has something in it, or cannot be written.
    """
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise DatasetError(f"{folder} is not empty; name a folder that is not there yet")
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            staged.chmod(0o755)
            for clip in range(made.clips):
                _write_clip(staged / clip_name(clip), made, clip, on_frame)
            _write_notes(staged, made)
            # Over an empty folder, too.
            staged.rename(folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except OSError as exc:
        raise DatasetError(f"cannot write {folder}: {exc.strerror or exc}") from exc


def _write_clip(folder: Path, made: MadeSet, clip: int, on_frame: Callable[[], None]) -> None:
    for part in ("com", "pha", "fgr", "bgr"):
        (folder / part).mkdir(parents=True)
    for index, make in enumerate(made_frames(made, clip)):
        frame = make()
        for part in ("com", "pha", "fgr", "bgr"):
            picture = Image.fromarray(getattr(frame, part))
            picture.save(folder / part / f"{index:04d}.png", compress_level=1)
        on_frame()


def _write_notes(folder: Path, made: MadeSet) -> None:
    text = json.dumps({"made_by": "rvm-export make-dataset", **asdict(made)}, indent=2)
    (folder / "made.json").write_text(f"{text}\n", "utf-8")


def _drawn_shot(rng: np.random.Generator, kind: Kind, made: MadeSet, number: int) -> _Shot:
    person = cut_out(made.height_pixels)
    tint = rng.uniform(0.75, 1.05, 3)
    # After a cut she stands elsewhere, and the other way round.
    is_mirrored = number % 2 == 1
    at = rng.uniform(0.25, 0.4) if len(kind.closeness) > 1 else rng.uniform(0.35, 0.65)
    return _Shot(
        kind,
        kind.closeness[number],
        replace(person, fgr=_levels(person.fgr * tint)),
        Hair.drawn_from(rng, kind.strokes),
        Background.drawn_from(rng, made.width_pixels, made.height_pixels),
        made.width_pixels,
        made.height_pixels,
        stands_at=1 - at if is_mirrored else at,
        is_mirrored=is_mirrored,
        lean=rng.uniform(0.04, 0.12),
        phase=rng.uniform(0, 2 * math.pi),
    )


def _levels(values: DoubleArray) -> UInt8Array:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
