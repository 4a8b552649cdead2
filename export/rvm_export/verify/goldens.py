"""Golden cases: frames, and the mattes that the reference implementation made of them.

Those with a seed use weights drawn from it, so that the deep guided filter, the batch norms and
the ResNet50 variant are checked without official checkpoints; the others use the int8 release.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rvm_export.wire import Variant

Frames = npt.NDArray[np.uint8]
DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# How far the picture moves from frame to frame, down and right.
PAN_PIXELS = (4, 6)
# The foreground is kept at every 4th row and column.
FGR_GRID_STEP = 4
SEED = 20261123
RESNET50_SEED = 11


@dataclass(frozen=True)
class GoldenCase:
    """One video, run in requests of `chunks` frames with the state carried."""

    name: str
    picture: str  # the file its frames are cut from
    size: tuple[int, int]  # height, width in pixels
    downsample_ratio: float
    chunks: tuple[int, ...]
    seed: int | None = None  # None: the weights of the int8 release
    variant: Variant = Variant.MOBILENETV3

    @property
    def src(self) -> Frames:
        """RGB [T,H,W,3]."""
        return frames(self.picture, sum(self.chunks))

    @property
    def is_even(self) -> bool:
        """Whether its frames can be 4:2:0."""
        return self.size[0] % 2 == 0 and self.size[1] % 2 == 0

    @property
    def pha(self) -> Frames:
        """Alpha [T,H,W], round(255 * value)."""
        return _mattes()[f"{self.name}.pha"]

    @property
    def fgr_grid(self) -> Frames:
        """Foreground [T,h,w,3] at every 4th row and column, round(255 * value)."""
        return _mattes()[f"{self.name}.fgr_grid"]


ASTRONAUT = ("astronaut_512x288.png", (288, 512))
ODD = ("astronaut_481x243.png", (243, 481))

CASES = (
    GoldenCase("fgf_astronaut_r050", *ASTRONAUT, 0.5, (1, 1, 2)),
    GoldenCase("fgf_odd_r100", *ODD, 1.0, (3,)),
    GoldenCase("fgf_odd_r037", *ODD, 0.37, (1, 2)),
    GoldenCase("dgf_seeded_astronaut_r050", *ASTRONAUT, 0.5, (1, 2), SEED),
    GoldenCase("dgf_seeded_odd_r100", *ODD, 1.0, (2, 1), SEED),
    GoldenCase(
        "dgf_seeded_resnet50_r050", *ASTRONAUT, 0.5, (1, 2), RESNET50_SEED, Variant.RESNET50
    ),
)
INT8_CASES = tuple(case for case in CASES if case.seed is None)
SEEDED_CASES = tuple(case for case in CASES if case.seed is not None)


def package_folder() -> Path:
    """Where the packed golden data is."""
    return Path(str(resources.files("rvm_export"))) / "data" / "golden"


@cache
def _mattes() -> dict[str, Frames]:
    with np.load(package_folder() / "mattes.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def frames(picture: str, count: int) -> Frames:
    """RGB [count,H,W,3] cut from a picture along its pan."""
    case = next(case for case in CASES if case.picture == picture)
    height, width = case.size
    with Image.open(package_folder() / picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    return panned(pixels, height, width, range(count))


def panned(pixels: Frames, height: int, width: int, steps: Iterable[int]) -> Frames:
    """RGB [T,height,width,3]: a picture cut at each of T steps along its pan."""
    dy, dx = PAN_PIXELS
    return np.stack([pixels[t * dy : t * dy + height, t * dx : t * dx + width] for t in steps])


def seeded_weights(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, FloatArray]:
    """Weights drawn from a seed, in the order of `shapes`, with values a network can have."""
    rng = np.random.default_rng(seed)
    return {key: _draw(key, shape, rng).astype(np.float32) for key, shape in shapes.items()}


def _draw(key: str, shape: tuple[int, ...], rng: np.random.Generator) -> DoubleArray:
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape)
    if key == "refiner.box_filter.weight":
        return np.full(shape, 1 / 9)
    normal = rng.standard_normal(shape)
    if key == "project_mat.conv.bias":
        return np.array([0.0, 0.0, 0.0, 0.5])  # alpha then lies around the middle
    if key.endswith("running_var"):
        return np.asarray(np.exp(0.2 * normal))
    if key.endswith("weight") and len(shape) == 4:
        return normal / math.sqrt(math.prod(shape[1:]))
    if key.endswith("weight"):
        return 1 + 0.1 * normal
    return 0.1 * normal
