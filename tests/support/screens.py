"""A person of one colour before a screen, with an alpha that is known."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]

GREEN, SKIN = (45, 160, 70), (190, 140, 110)


@dataclass(frozen=True)
class Shown:
    """Frames of one scene."""

    src: UInt8Array
    """[T,H,W,3]."""
    true: UInt8Array
    """[T,H,W]: the alpha."""
    fgr: UInt8Array
    """[T,H,W,3]: what a model might make, with the screen in it at the edge."""
    pha: UInt8Array
    """[T,H,W]: likewise, without the hair."""


def before_screen(
    frames: int = 1,
    screen: tuple[int, int, int] = GREEN,
    person: tuple[int, int, int] = SKIN,
    size: tuple[int, int] = (180, 240),
    unevenness: float = 0.3,
) -> Shown:
    """A disc with three thick hairs, which moves to the right by two pixels a frame."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    noise = np.random.default_rng(0)
    light = 1 - unevenness / 2 + unevenness * x / width
    kinds: dict[str, list[UInt8Array]] = {"src": [], "true": [], "fgr": [], "pha": []}
    for index in range(frames):
        left = width * 0.4 + 2 * index
        alpha = _disc(y - height * 0.55, x - left, height * 0.25)
        coarse = _disc(y - height * 0.55, x - left, height * 0.25 + 1)
        for angle in (-0.4, 0.0, 0.4):
            apart = np.abs((x - left) * np.cos(angle) + (y - height * 0.55) * np.sin(angle))
            is_hair = (apart < 2) & (y < height * 0.32) & (y > height * 0.25)
            alpha = np.where(is_hair, np.maximum(alpha, 0.6), alpha)
        behind = light[..., None] * np.array(screen)
        mixed = alpha[..., None] * np.array(person) + (1 - alpha[..., None]) * behind
        kinds["src"].append(_levels(mixed + noise.normal(0, 1, mixed.shape)))
        kinds["true"].append(_levels(alpha * 255))
        kinds["fgr"].append(_levels(0.7 * mixed + 0.3 * np.array(person)))
        kinds["pha"].append(_levels(coarse * 255))
    return Shown(**{name: np.stack(each) for name, each in kinds.items()})


def _disc(
    y: npt.NDArray[np.float64], x: npt.NDArray[np.float64], radius: float
) -> npt.NDArray[np.float64]:
    return np.clip(radius - np.hypot(y, x) + 0.5, 0, 1)


def _levels(values: npt.NDArray[np.float64]) -> UInt8Array:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
