"""Animated pictures, opened again with Pillow."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from rvm_client.pixels import UInt8Array


@dataclass(frozen=True)
class Animation:
    """What a file holds."""

    pictures: list[UInt8Array]
    """[H,W,4] each."""
    durations_ms: list[int]
    loop: int | None
    """How often it plays; 0: without end, None: Pillow does not say."""

    @property
    def starts_seconds(self) -> list[float]:
        """When each picture shows, and the end."""
        return [0.0, *(np.cumsum(self.durations_ms) / 1000).tolist()]


def read_animation(path: Path) -> Animation:
    """All of a file."""
    pictures, durations = [], []
    with Image.open(path) as image:
        loop = image.info.get("loop")
        for frame in ImageSequence.Iterator(image):
            pictures.append(np.asarray(frame.convert("RGBA")))
            durations.append(round(frame.info["duration"]))
    return Animation(pictures, durations, loop)
