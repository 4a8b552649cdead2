"""A dataset with true alpha that can be made anywhere, without downloads.

A person with a known alpha leans, turns and comes closer before moving backgrounds, with loose
hair, motion blur and a cut. Everything follows from a seed: on one machine with the same
libraries, the same bytes.

Before a screen, as in a studio, it is as if filmed: with noise and H.264. Else:

What is exact: `com` is `pha * fgr + (1 - pha) * bgr` of the files beside it, to half a level.
Motion blur is the mean of alpha, and of colour weighted by alpha, over moments within the exposure.
What it is not: the world. One person, drawn hair, backgrounds of noise and shapes, no light that
falls from one on the other, no noise of a camera, no compression. Figures on it say which of two
models, ratios or settings is better here; they cannot be compared with those of other sets.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from PIL import Image

from rvm_export.errors import DatasetError, UsageError
from rvm_export.evaluate import camera, screens
from rvm_export.evaluate.metrics import UInt8Array
from rvm_export.evaluate.shots import Kind, MadeFrame, Shot

SIZE_BOUNDS_PIXELS = (64, 4096)
_PARTS = ("com", "pha", "fgr", "bgr")


@dataclass(frozen=True)
class MadeSet:
    """What to make."""

    seed: int = 0
    clips: int = 4
    frames: int = 48
    """Of each clip."""
    width_pixels: int = 512
    height_pixels: int = 288
    screen: bool = False
    """Before a screen of one colour, filmed; the sides are even then."""

    def __post_init__(self) -> None:
        if self.screen and (self.width_pixels % 2 or self.height_pixels % 2):
            raise UsageError(
                f"--size is {self.width_pixels}x{self.height_pixels}; with --screen both must be "
                "even, as H.264 has it"
            )


KINDS = (
    Kind("turning", 30, (1.0,), 0.08, 50, 0.5, 4),
    Kind("hair", 240, (1.25,), 0.05, 60, 0.25, 3),
    Kind("motion_blur", 60, (1.0,), 0.16, 24, 0.7, 12),
    Kind("cut", 60, (1.15, 0.85), 0.07, 40, 0.5, 4),
)


def made_frames(made: MadeSet, clip: int) -> list[partial[MadeFrame]]:
    """What makes each frame of a clip, in order."""
    kind = KINDS[clip % len(KINDS)]
    rng = np.random.default_rng([made.seed, clip])
    size = made.width_pixels, made.height_pixels
    colour = screens.COLOURS[clip % len(screens.COLOURS)]
    screen = screens.Screen.drawn_from(rng, colour, *size) if made.screen else None
    shots = [
        Shot.drawn_from(rng, kind, number, *size, screen) for number in range(len(kind.closeness))
    ]
    shot_of = [shots[index * len(shots) // made.frames] for index in range(made.frames)]
    return [partial(Shot.frame, shot, index) for index, shot in enumerate(shot_of)]


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
    for part in _PARTS:
        (folder / part).mkdir(parents=True)
    frames = _written(folder, made, clip, on_frame)
    if not made.screen:
        for index, com in enumerate(frames):
            _save(com, folder, "com", index)
        return
    video = folder / "filmed.mp4"
    size = made.width_pixels, made.height_pixels
    camera.film(frames, video, size, np.random.default_rng([made.seed, clip, 1]))
    for index, com in enumerate(camera.developed(video)):
        _save(com, folder, "com", index)
    video.unlink()


def _written(
    folder: Path, made: MadeSet, clip: int, on_frame: Callable[[], None]
) -> Iterator[UInt8Array]:
    """The composites; all other parts of each are written."""
    for index, make in enumerate(made_frames(made, clip)):
        frame = make()
        for part in _PARTS[1:]:
            _save(getattr(frame, part), folder, part, index)
        yield frame.com
        on_frame()


def _save(picture: UInt8Array, folder: Path, part: str, index: int) -> None:
    Image.fromarray(picture).save(folder / part / f"{index:04d}.png", compress_level=1)


def _write_notes(folder: Path, made: MadeSet) -> None:
    text = json.dumps({"made_by": "rvm-export make-dataset", **asdict(made)}, indent=2)
    (folder / "made.json").write_text(f"{text}\n", "utf-8")
