"""Alpha of people who walk through a picture: ellipses with soft edges, each in its colours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from rvm_client.frames import MatteChunk, VideoInfo

UInt8Array = npt.NDArray[np.uint8]

HEIGHT, WIDTH, RATE = 180, 320, 20
INFO = VideoInfo(WIDTH, HEIGHT, Fraction(1, RATE), Fraction(RATE), None, None)
_SOFT_PIXELS = 4
_NOISE = np.random.default_rng(5).integers(-25, 26, (HEIGHT, WIDTH, 3))


@dataclass(frozen=True)
class Walker:
    """Somebody at one moment."""

    x: float
    y: float
    width: float
    height: float
    colour: tuple[int, int, int] = (180, 70, 70)

    @property
    def alpha(self) -> npt.NDArray[np.float64]:
        """[H,W] of 0 to 1."""
        rows, columns = np.arange(HEIGHT)[:, np.newaxis] + 0.5, np.arange(WIDTH) + 0.5
        across = 2 * (columns - self.x) / self.width
        down = 2 * (rows - self.y) / self.height
        inside = (1 - np.hypot(across, down)) * min(self.width, self.height) / 2
        share: npt.NDArray[np.float64] = (inside / _SOFT_PIXELS + 0.5).clip(0, 1)
        return share


Frame = tuple[UInt8Array, UInt8Array]
"""fgr [H,W,3] and pha [H,W]."""


def picture(people: Sequence[Walker]) -> Frame:
    """The matte of people, the last in front."""
    fgr, pha = np.zeros((HEIGHT, WIDTH, 3), int), np.zeros((HEIGHT, WIDTH))
    for walker in people:
        # Clothes go along.
        cloth = np.roll(_NOISE, (round(walker.y), round(walker.x)), (0, 1)) + walker.colour
        alpha = walker.alpha
        shown = alpha > 0.3
        fgr[shown] = cloth[shown]
        pha = np.maximum(pha, alpha)
    return fgr.clip(0, 255).astype(np.uint8), np.rint(pha * 255).astype(np.uint8)


def chunks(
    frames: Sequence[Frame], length: int = 1, cuts: Sequence[int] = ()
) -> Iterator[MatteChunk]:
    """Chunks of `length` frames, and shorter ones before a cut."""
    begins = sorted({*range(0, len(frames), length), *cuts})
    for begin, end in zip(begins, [*begins[1:], len(frames)], strict=True):
        fgr, pha = (np.stack(arrays) for arrays in zip(*frames[begin:end], strict=True))
        starts_scene = begin == 0 or begin in cuts
        yield MatteChunk(fgr, pha, tuple(range(begin, end)), starts_scene=starts_scene)
