"""Folders of frames with true alpha, in the layout of the VideoMatte evaluation set.

    DIR/CLIP/com/0000.png   what the model sees: the composite
    DIR/CLIP/pha/0000.png   the true alpha, grey
    DIR/CLIP/fgr/0000.png   the true foreground, straight

PNG or JPEG. Clips may lie one folder deeper, as in `videomatte_512x288/videomatte_motion/0000`.
The frames of a clip are in the order of their names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rvm_export.errors import DatasetError
from rvm_export.evaluate.metrics import Frame, UInt8Array

COMPOSITE, ALPHA, FOREGROUND = PARTS = ("com", "pha", "fgr")
_SUFFIXES = {".png", ".jpg", ".jpeg"}
# Of more than 8 bits a channel, which would be cut off in silence.
_DEEP_MODES = ("I", "F")


@dataclass(frozen=True)
class Clip:
    """One video of a dataset."""

    name: str
    """The folder's, with the one around it where clips lie deeper."""
    folder: Path
    stems: tuple[str, ...]
    """The names of the frames, in order, without suffix."""
    width_pixels: int
    height_pixels: int
    files: dict[str, tuple[Path, ...]]
    """Of each part, in the order of `stems`."""

    def composite(self, index: int) -> UInt8Array:
        """What the model sees, [H,W,3] RGB."""
        return _pixels(self.files[COMPOSITE][index], "RGB")

    def truth(self, index: int) -> Frame:
        """True alpha and foreground of a frame."""
        pha = _pixels(self.files[ALPHA][index], "L")
        return Frame(pha, _pixels(self.files[FOREGROUND][index], "RGB"))


def find_clips(dataset: Path) -> list[Clip]:
    """The clips of a dataset, by name, each checked.

    Raises:
        DatasetError: there is none, or one lacks a folder or a frame, has frames of several
            sizes, or what is no picture.
    """
    if not dataset.is_dir():
        raise DatasetError(f"there is no folder {dataset}; give one with --dataset")
    folders = [*dataset.glob("*/"), *dataset.glob("*/*/")]
    found = [folder for folder in folders if (folder / COMPOSITE).is_dir()]
    # One that lacks its composites is not passed over in silence.
    found += [f for f in folders if f not in found and (f / ALPHA).is_dir()]
    if not found:
        raise DatasetError(
            f"{dataset} has no clips: frames are expected in {dataset}/CLIP/com, CLIP/pha and "
            "CLIP/fgr"
        )
    return [_clip(dataset, folder) for folder in sorted(found)]


def _clip(dataset: Path, folder: Path) -> Clip:
    by_part = {part: _frames(folder / part) for part in PARTS}
    stems = tuple(by_part[COMPOSITE])
    for part in (ALPHA, FOREGROUND):
        _check_same_frames(folder, stems, part, tuple(by_part[part]))
    files = {part: tuple(frames.values()) for part, frames in by_part.items()}
    width, height = _size_of_all(path for paths in files.values() for path in paths)
    name = folder.relative_to(dataset).as_posix()
    return Clip(name, folder, stems, width, height, files)


def _frames(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names without suffix, in order."""
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}; a clip has com, pha and fgr")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    frames = {path.stem: path for path in paths}
    if not frames:
        raise DatasetError(f"{folder} has no frames; they are PNG or JPEG files")
    if len(frames) < len(paths):
        raise DatasetError(f"{folder} has several files for one frame, such as a PNG and a JPEG")
    return frames


def _check_same_frames(
    folder: Path, stems: tuple[str, ...], part: str, others: tuple[str, ...]
) -> None:
    if len(stems) != len(others):
        raise DatasetError(
            f"{folder} has {len(stems)} frames in com and {len(others)} in {part}; it takes one "
            "of each"
        )
    for a, b in zip(stems, others, strict=True):
        if a != b:
            raise DatasetError(
                f"{folder} has the frame {a} in com where {part} has {b}; they go by one name"
            )


def _size_of_all(paths: Iterator[Path]) -> tuple[int, int]:
    """Width and height of all the pictures; reads no more than their headers."""
    first = next(paths)
    size = _size(first)
    for path in paths:
        if (other := _size(path)) != size:
            raise DatasetError(
                f"{path} is {other[0]}x{other[1]} pixels and {first} {size[0]}x{size[1]}; the "
                "frames of a clip are of one size"
            )
    return size


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            mode, size = image.mode, image.size
    except (OSError, SyntaxError, Image.DecompressionBombError) as exc:
        raise DatasetError(f"{path} cannot be read as a picture") from exc
    if mode.startswith(_DEEP_MODES):
        raise DatasetError(f"{path} has more than 8 bits a channel; make it 8 bits")
    return size


def _pixels(path: Path, mode: str) -> UInt8Array:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert(mode))
    except (OSError, SyntaxError) as exc:
        raise DatasetError(f"{path} cannot be read to its end") from exc
