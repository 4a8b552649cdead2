"""One picture to judge a result by: source, alpha and result, for a few moments."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from rvm_client.decode import read_rgba_at
from rvm_client.pixels import UInt8Array, checkerboard, composite

_ROWS = 4
_CELL_WIDTH_PIXELS = 400
_GAP_PIXELS = 8
_HEADER_PIXELS = 24


def write_contact_sheet(
    source: Path,
    result: Path,
    target: Path,
    *,
    duration_seconds: float,
    start_seconds: float,
) -> None:
    """Write a PNG with a row for each of four moments spread over the video.

    The result starts at `start_seconds` of the source.

    Both files are opened and decoded: the sheet shows what a player will show. The alpha
    column is left out where the result has no alpha.

    Raises:
        InputError: one of the files cannot be decoded.
    """
    moments_s = [duration_seconds * (row + 0.5) / _ROWS for row in range(_ROWS)]
    before = read_rgba_at(source, [start_seconds + moment_s for moment_s in moments_s])
    after = read_rgba_at(result, moments_s)
    has_alpha = any(picture[..., 3].min() < 255 for picture in after)
    cells = [_row(b, a, has_alpha) for b, a in zip(before, after, strict=True)]
    titles = ["source", "alpha", "result"] if has_alpha else ["source", "result"]
    _sheet(cells, titles).save(target)


def _row(before: UInt8Array, after: UInt8Array, has_alpha: bool) -> list[Image.Image]:
    colour, alpha = after[..., :3], after[..., 3]
    height, width = alpha.shape
    pictures = [before[..., :3]]
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
