"""Pack the golden data: `python tests/golden/pack.py REFERENCE_FOLDER`.

REFERENCE_FOLDER holds the `.npz` files that the reference implementation made, with their frames.
The frames are one picture panned by a few pixels, so one picture is kept for all of them. The
exact arrays go beside this file, and what `rvm-export` needs to verify a model goes into its
package: alpha, and a grid of the foreground in levels.
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rvm_export.verify.goldens import CASES, PAN_PIXELS, frames, package_folder

HERE = Path(__file__).parent
Frames = npt.NDArray[np.uint8]


def stitch(src: Frames) -> Frames:
    """The picture that frames [T,H,W,3] were cut from, black where none of them looked."""
    count, height, width, _ = src.shape
    dy, dx = PAN_PIXELS
    shape = (height + dy * (count - 1), width + dx * (count - 1), 3)
    picture = np.zeros(shape, np.uint8)
    for t, frame in enumerate(src):
        picture[t * dy : t * dy + height, t * dx : t * dx + width] = frame
    return picture


def pack_frames(reference: Path) -> None:
    """One picture for each size of frames, checked to give back every frame."""
    for case in CASES:
        arrays = np.load(reference / f"{case.name}.npz")
        if "src" not in arrays:
            continue
        Image.fromarray(stitch(arrays["src"])).save(package_folder() / case.picture, optimize=True)
        assert np.array_equal(frames(case.picture, len(arrays["src"])), arrays["src"])


def pack_cases(reference: Path) -> None:
    """The exact arrays for the tests, alpha and foreground in levels for the package."""
    mattes: dict[str, npt.NDArray[np.generic]] = {}
    for case in CASES:
        arrays = dict(np.load(reference / f"{case.name}.npz"))
        arrays.pop("src", None)
        np.savez_compressed(HERE / f"{case.name}.npz", **arrays)
        mattes[f"{case.name}.pha"] = arrays["pha_u8"]
        levels = np.round(arrays["fgr_grid"] * 255).astype(np.uint8)
        mattes[f"{case.name}.fgr_grid"] = levels.transpose(0, 2, 3, 1)
    np.savez_compressed(package_folder() / "mattes.npz", **mattes)


if __name__ == "__main__":
    pack_frames(Path(sys.argv[1]))
    pack_cases(Path(sys.argv[1]))
