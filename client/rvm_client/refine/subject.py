"""Who and what of a matte is kept."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.pixels import UInt8Array
from rvm_client.refine.cells import cell_pixels, cells_of
from rvm_client.refine.components import BoolArray, widened
from rvm_client.refine.following import Following
from rvm_client.refine.region import Masks
from rvm_client.refine.scaling import scaled
from rvm_client.subject import Subject


def in_place(
    mattes: Iterator[MatteChunk], subject: Subject, info: VideoInfo, start_seconds: float
) -> Iterator[MatteChunk]:
    """The mattes with the alpha that the subject's region and boxes leave.

    Args:
        mattes: those of a video.
        subject: what is kept.
        info: of the video.
        start_seconds: the time in the source of the video's first frame.
    """
    masks = Masks(subject, info.height_pixels, info.width_pixels)
    for chunk in mattes:
        times = ((pts - info.first_pts) * info.time_base + start_seconds for pts in chunk.pts)
        frames = zip(chunk.pha, times, strict=True)
        yield replace(
            chunk, pha=np.stack([masks.at(float(time)).applied(pha) for pha, time in frames])
        )


def largest(mattes: Iterator[MatteChunk], info: VideoInfo) -> Iterator[MatteChunk]:
    """The mattes with the alpha of the largest person alone. It remembers the scene so far."""
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
                clear(pha[index], cells.alpha > 0, other)
        yield replace(chunk, pha=pha)


def clear(pha: UInt8Array, seen: BoolArray, other: BoolArray) -> None:
    """Clear the alpha of some cells, in place; towards others that show it falls over a cell.

    Args:
        pha: [H,W] alpha.
        seen: [h,w] cells that show something.
        other: [h,w] those of them to clear; at least one.
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
    part = pha[top:bottom, left:right]
    part[...] = scaled(part, np.asarray(share))
