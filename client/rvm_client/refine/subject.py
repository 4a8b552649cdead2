"""Who and what is kept: the largest person, or what lies in a region."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.pixels import UInt8Array
from rvm_client.refine.cells import cell_pixels, cells_of
from rvm_client.refine.components import BoolArray, widened
from rvm_client.refine.following import Following


def largest_kept(mattes: Iterator[MatteChunk], info: VideoInfo) -> Iterator[MatteChunk]:
    """The same with the alpha of the largest person alone; with a memory over the scene."""
    following = Following()
    for chunk in mattes:
        if chunk.starts_scene:
            following = Following()
        pha = chunk.pha
        for index, pts in enumerate(chunk.pts):
            cells = cells_of(chunk.fgr[index], chunk.pha[index], info.layout)
            other = following.step(cells, float(pts * info.time_base))
            if other.any():
                pha = chunk.pha.copy() if pha is chunk.pha else pha
                drop(pha[index], cells.alpha > 0, other)
        yield replace(chunk, pha=pha)


def drop(pha: UInt8Array, seen: BoolArray, other: BoolArray) -> None:
    """Clear the alpha of some cells, in place; towards kept ones it falls off over a cell.

    Args:
        pha: [H,W] alpha.
        seen: [h,w] cells with alpha.
        other: [h,w] those to clear.
    """
    kept = seen & ~other
    weight = ~other & (widened(widened(kept)) | ~widened(other))
    rows, columns = (np.flatnonzero(~weight.all(axis=axis)) for axis in (1, 0))
    size = cell_pixels(*pha.shape)
    height, width = pha.shape
    top, bottom = max(0, (rows[0] - 1) * size), min(height, (rows[-1] + 2) * size)
    left, right = max(0, (columns[0] - 1) * size), min(width, (columns[-1] + 2) * size)
    grid = Image.fromarray(np.where(weight, np.uint8(255), np.uint8(0)))
    place = (left / size, top / size, right / size, bottom / size)
    share = grid.resize((right - left, bottom - top), Image.Resampling.BILINEAR, place)
    scale(pha[top:bottom, left:right], np.asarray(share))


def scale(pha: UInt8Array, share: UInt8Array) -> None:
    """Multiply alpha by shares of 0 to 255, in place; rounded to nearest."""
    value = np.multiply(pha, share, dtype=np.uint16)
    value += np.uint16(128)
    value += value >> np.uint16(8)
    value >>= np.uint16(8)
    np.copyto(pha, value, casting="unsafe")
