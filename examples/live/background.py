"""What is shown behind the person."""

from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageColor, ImageOps

from .slot import UInt8Array


class Background:
    """A colour, or a picture that covers the frames.

    Args:
        text: a colour's name, #rrggbb, or a file.

    Raises:
        ClickException: it is neither.
    """

    def __init__(self, text: str) -> None:
        try:
            if Path(text).is_file():
                with Image.open(text) as image:
                    self._image = ImageOps.exif_transpose(image).convert("RGB")
            else:
                self._image = Image.new("RGB", (16, 16), ImageColor.getrgb(text))
        except (OSError, ValueError) as exc:
            raise click.ClickException(
                f"the background {text!r} is no colour and no picture"
            ) from exc
        self._fitted: UInt8Array = np.zeros((0, 0, 3), np.uint8)

    def fitting(self, picture: UInt8Array) -> UInt8Array:
        """It, in the size of a picture."""
        if self._fitted.shape != picture.shape:
            height, width = picture.shape[:2]
            self._fitted = np.asarray(ImageOps.fit(self._image, (width, height)))
        return self._fitted
