"""One picture to judge a result by: source, alpha and result, for a few moments."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from rvm_client.decode import read_rgba_at
from rvm_client.frames import Role, SourceChunk, VideoInfo
from rvm_client.pixels import UInt8Array, checkerboard, composite

ROWS = 4
_CELL_WIDTH_PIXELS = 400
_GAP_PIXELS = 8
_HEADER_PIXELS = 24
_MOST_KEPT = 16
# Containers round times, to a millisecond at most.
_ROUNDING_SECONDS = 0.001


@dataclass(frozen=True)
class SourcePicture:
    """A frame of the source, made small."""

    picture: UInt8Array
    """[h,w,3]."""
    seconds: float
    """Since the first frame of the result."""


class SourcePictures:
    """Keeps frames of those that pass, spread over a video of whatever length.

    Every frame at first; whenever too many are kept, every second one goes, and from then on
    half as many come.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._kept: list[SourcePicture] = []
        self._step, self._count = 1, 0
        self._last_pts, self._last_seconds = 0, 0.0

    def __call__(self, chunk: SourceChunk, info: VideoInfo) -> None:
        """The next frames on their way to the model."""
        if chunk.role is not Role.FRAMES:
            return
        for frame, pts in zip(chunk.src, chunk.pts, strict=True):
            if self._count and pts <= self._last_pts:
                # A video can be matted again, with other means.
                self._begin()
            self._last_pts = pts
            self._last_seconds = float((pts - info.first_pts) * info.time_base)
            if self._count % self._step == 0:
                self._keep(SourcePicture(_small(frame, info), self._last_seconds))
            self._count += 1

    def _keep(self, picture: SourcePicture) -> None:
        self._kept.append(picture)
        if len(self._kept) > _MOST_KEPT:
            del self._kept[1::2]
            self._step *= 2

    def spread(self, count: int) -> list[SourcePicture]:
        """Those nearest to moments that divide the video evenly; none, where none passed."""
        moments_s = [self._last_seconds * (index + 0.5) / count for index in range(count)]
        return [
            min(self._kept, key=lambda kept: abs(kept.seconds - moment_s))
            for moment_s in moments_s
            if self._kept
        ]


def _small(frame: UInt8Array, info: VideoInfo) -> UInt8Array:
    """Not much wider than a cell, by leaving pixels out."""
    height, width = info.layout.size_pixels(frame)
    step = max(1, width // (2 * _CELL_WIDTH_PIXELS))
    colours = info.layout.rgb_at(frame, np.arange(0, height, step), np.arange(0, width, step))
    return colours.astype(np.uint8)


def write_contact_sheet(
    sources: Sequence[SourcePicture], result: Path, target: Path, *, is_stacked: bool = False
) -> None:
    """Write a PNG with a row for each of the pictures.

    The result is opened and decoded: the sheet shows what a player will show. The alpha column
    is left out where the result has no alpha. `is_stacked`: it lies below the colour.

    Raises:
        InputError: the result cannot be decoded.
        OSError, ValueError: the sheet cannot be written.
    """
    moments_s = [source.seconds + _ROUNDING_SECONDS for source in sources]
    after = read_rgba_at(result, moments_s, is_stacked=is_stacked)
    has_alpha = any(picture[..., 3].min() < 255 for picture in after)
    cells = [_row(b.picture, a, has_alpha) for b, a in zip(sources, after, strict=True)]
    titles = ["source", "alpha", "result"] if has_alpha else ["source", "result"]
    _sheet(cells, titles).save(target, "PNG")


def _row(before: UInt8Array, after: UInt8Array, has_alpha: bool) -> list[Image.Image]:
    colour, alpha = after[..., :3], after[..., 3]
    height, width = alpha.shape
    pictures = [before]
    if has_alpha:
        pictures.append(np.repeat(alpha[..., np.newaxis], 3, axis=-1))
    square = max(4, width // 40)
    pictures.append(composite(colour, alpha, checkerboard(height, width, square)))
    # All in the shape of the result: the source may have pixels that are not square.
    return [_cell(picture, height, width) for picture in pictures]


def _cell(picture: UInt8Array, height: int, width: int) -> Image.Image:
    size = (_CELL_WIDTH_PIXELS, max(1, round(_CELL_WIDTH_PIXELS * height / width)))
    return Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)


def _sheet(cells: list[list[Image.Image]], titles: list[str]) -> Image.Image:
    cell_height = max(cell.height for row in cells for cell in row)
    columns, rows = len(titles), len(cells)
    sheet = Image.new(
        "RGB",
        (
            columns * (_CELL_WIDTH_PIXELS + _GAP_PIXELS) + _GAP_PIXELS,
            rows * (cell_height + _GAP_PIXELS) + _HEADER_PIXELS,
        ),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        x = _GAP_PIXELS + column * (_CELL_WIDTH_PIXELS + _GAP_PIXELS)
        draw.text((x, 6), title, fill="black")
        for row, pictures in enumerate(cells):
            y = _HEADER_PIXELS + row * (cell_height + _GAP_PIXELS)
            sheet.paste(pictures[column], (x, y))
    return sheet
