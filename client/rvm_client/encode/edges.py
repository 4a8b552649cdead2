"""Colour under and around the edge of a straight-alpha picture.

Chroma subsampling and the codec mix neighbouring pixels. What lies under alpha 0 would so
colour the soft edge: black makes a dark halo, the old background a coloured one. So the
person's own colour is drawn outward, block by block, and only beyond that is the picture flat,
which costs no bits.

Blocks of 16x16 that the edge runs through are filled from their own pixels, weighted by alpha.
Transparent blocks beside those get the mean of their neighbours, all others black.
"""

from collections.abc import Sequence

import numpy as np

from rvm_client.encode.blocks import (
    BLOCK_CELLS,
    BoolArray,
    FloatArray,
    blocks_of,
    doubled_cells,
    flatten,
    halved_cells,
    kinds_of_blocks,
    padded,
    spread,
)
from rvm_client.pixels import UInt8Array, planes

# Black, as RGB and as limited-range YUV.
FLAT = np.uint8(0)
FLAT_PLANES = np.array([16, 128, 128], np.uint8)


def bleed_edges(fgr: UInt8Array, pha: UInt8Array) -> UInt8Array:
    """Replace the colour where alpha is 0; where it is above 0 the colour stays as it is.

    Args:
        fgr: [H,W,3] straight foreground colour.
        pha: [H,W] alpha.

    Returns:
        [H,W,3]; it may be a view of a larger array.
    """
    height, width = pha.shape
    alpha, colours = padded(pha), padded(fgr)
    kinds = kinds_of_blocks(alpha)
    blocks, alpha_blocks = blocks_of(colours), blocks_of(alpha)
    lent = _weighted_sums(blocks[kinds.lending], alpha_blocks[kinds.lending])
    flatten(colours, kinds.empty, FLAT)
    _paint(blocks, kinds.ring, kinds.ring_colours(lent))
    blocks[kinds.edge] = _bled_within(blocks[kinds.edge], alpha_blocks[kinds.edge])
    return colours[:height, :width]


def bleed_planes(fgr: UInt8Array, pha: UInt8Array) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """`bleed_edges` for planes. Chroma stays as it is where any of its four pixels shows.

    Args:
        fgr: [H*3/2,W] straight foreground colour, I420 of limited range.
        pha: [H,W] alpha.

    Returns:
        Luma [H,W], U and V [H/2,W/2]; they may be views of larger arrays.
    """
    height, width = pha.shape
    alpha, (luma, u, v) = padded(pha), _padded_planes(fgr)
    kinds = kinds_of_blocks(alpha)
    alpha_blocks = blocks_of(alpha)
    blocks = [blocks_of(luma), blocks_of(u, BLOCK_CELLS), blocks_of(v, BLOCK_CELLS)]
    cells = _weighted_cells([plane[kinds.lending] for plane in blocks], alpha_blocks[kinds.lending])
    ring = kinds.ring_colours(cells.sum(axis=(1, 2)))
    edge_alpha, edge_cells = alpha_blocks[kinds.edge], cells[kinds.edge[kinds.lending]]
    edge = _bled_within_planes([plane[kinds.edge] for plane in blocks], edge_alpha, edge_cells)
    for index, plane in enumerate((luma, u, v)):
        flatten(plane, kinds.empty, FLAT_PLANES[index])
        _paint(blocks[index], kinds.ring, ring[:, index])
        blocks[index][kinds.edge] = edge[index]
    return luma[:height, :width], u[: height // 2, : width // 2], v[: height // 2, : width // 2]


def _padded_planes(fgr: UInt8Array) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    luma, (u, v) = planes(fgr)
    return padded(luma), padded(u, BLOCK_CELLS), padded(v, BLOCK_CELLS)


def _paint(blocks: UInt8Array, ring: BoolArray, colours: UInt8Array) -> None:
    """Give each block of the ring one of the colours, [N] or [N,3]."""
    blocks[ring] = colours[:, np.newaxis, np.newaxis]


def _weighted_sums(blocks: UInt8Array, alpha: UInt8Array) -> FloatArray:
    """[N,4]: colour times alpha, and alpha, summed over each block."""
    weights = alpha.astype(np.float32)
    sums = np.empty((len(blocks), 4), np.float32)
    sums[:, :3] = np.einsum("nyxc,nyx->nc", blocks, weights, optimize=False)
    sums[:, 3] = weights.sum(axis=(1, 2))
    return sums


def _weighted_cells(blocks: Sequence[UInt8Array], alpha: UInt8Array) -> FloatArray:
    """What `spread` takes, of blocks of luma [N,16,16] and of U and V [N,8,8]."""
    luma, u, v = blocks
    weights = alpha.astype(np.float32)
    cells = np.empty((*u.shape, 4), np.float32)
    cells[..., 3] = halved_cells(weights)
    cells[..., 0] = halved_cells(luma * weights)
    np.multiply(u, cells[..., 3], out=cells[..., 1])
    np.multiply(v, cells[..., 3], out=cells[..., 2])
    return cells


def _bled_within(blocks: UInt8Array, alpha: UInt8Array) -> UInt8Array:
    """Blocks [N,16,16,3] with the colour of the nearest cells where alpha [N,16,16] is 0."""
    weighted = np.empty((*alpha.shape, 4), np.float32)
    weighted[..., 3] = alpha
    np.multiply(blocks, weighted[..., 3:], out=weighted[..., :3])
    colours = doubled_cells(spread(halved_cells(weighted)))
    return np.where(alpha[..., np.newaxis] > 0, blocks, colours)


def _bled_within_planes(
    blocks: Sequence[UInt8Array], alpha: UInt8Array, cells: FloatArray
) -> list[UInt8Array]:
    """`_bled_within` for blocks of luma [N,16,16], and of U and V [N,8,8], and their cells."""
    luma, *chroma = blocks
    colours, chroma_shows = spread(cells), cells[..., 3] > 0
    bled = [np.where(alpha > 0, luma, doubled_cells(colours[..., 0]))]
    for index, plane in enumerate(chroma, start=1):
        bled.append(np.where(chroma_shows, plane, colours[..., index]))
    return bled
