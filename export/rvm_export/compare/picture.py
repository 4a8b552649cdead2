"""Where two versions differ: the worst frame, and beside it a map of each difference."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from rvm_export.compare.comparison import Where
from rvm_export.compare.files import write_whole

Levels = npt.NDArray[np.uint8]

# Differences of so many levels and more are white: an eye sees them.
_WHITE_LEVELS = 16
# Of 1 to 16 levels: black, blue, red, yellow, white.
_COLOURS = np.array([[0, 0, 0], [40, 40, 200], [220, 40, 40], [250, 220, 60], [255, 255, 255]])
_CAPTION_ROWS = 20


def write_picture(path: Path, where: Where) -> None:
    """A PNG: the source, where alpha differs, where the foreground does.

    Raises:
        UsageError: the file cannot be written.
    """
    source = np.asarray(where.src)
    panels = [source, heat(np.asarray(where.pha)), heat(np.asarray(where.fgr))]
    found = where.difference
    captions = (
        f"frame {found.frame} of {found.clip}",
        f"alpha: up to {found.pha_max:g} levels; white: {_WHITE_LEVELS} and more",
        f"foreground: up to {found.fgr_max:g}",
    )
    height = max(panel.shape[0] for panel in panels)
    width = sum(panel.shape[1] for panel in panels)
    picture = Image.new("RGB", (width, height + _CAPTION_ROWS))
    draw, left = ImageDraw.Draw(picture), 0
    for panel, caption in zip(panels, captions, strict=True):
        picture.paste(Image.fromarray(panel), (left, _CAPTION_ROWS))
        draw.text((left + 4, 4), caption, fill="white")
        left += panel.shape[1]
    data = io.BytesIO()
    picture.save(data, "PNG")
    write_whole(path, data.getvalue(), "--picture")


def heat(levels: Levels) -> Levels:
    """Levels [H,W] as colours [H,W,3]. One level is already seen: the scale is a logarithm."""
    scale = np.log1p(np.minimum(levels, _WHITE_LEVELS)) / np.log1p(_WHITE_LEVELS)
    position = scale * (len(_COLOURS) - 1)
    stops = np.arange(len(_COLOURS))
    channels = [np.interp(position, stops, _COLOURS[:, channel]) for channel in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)
