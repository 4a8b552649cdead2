"""The edge of each frame as it is wished for."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rvm_client.alpha_edges import Edges
from rvm_client.frames import MatteChunk
from rvm_client.pixels import PixelLayout, UInt8Array
from rvm_client.refine.despill import recolour
from rvm_client.refine.edges import feather_margin, feathered, levels_table, shrunk
from rvm_client.refine.tiles import OPAQUE, Tiles, edge_tiles


def edged(mattes: Iterator[MatteChunk], edges: Edges, layout: PixelLayout) -> Iterator[MatteChunk]:
    """The mattes with other edges: levels, then place, then softness, then colour. Each frame by
    itself."""
    for chunk in mattes:
        pha = chunk.pha.copy()
        fgr = chunk.fgr.copy() if edges.may_recolour else chunk.fgr
        for index, old in enumerate(chunk.pha):
            tiles, alpha = _edge(old, _reach_pixels(edges))
            if len(alpha):
                tiles.put(pha[index], _changed(alpha, edges))
                if edges.may_recolour:
                    recolour(fgr[index], old, pha[index], tiles, edges.despill, layout)
        yield replace(chunk, fgr=fgr, pha=pha)


def _reach_pixels(edges: Edges) -> int:
    """How far a pixel's new alpha depends on others."""
    return math.ceil(abs(edges.shrink_pixels)) + feather_margin(edges.feather_pixels)


def _edge(pha: UInt8Array, reach_pixels: int) -> tuple[Tiles, UInt8Array]:
    """The tiles whose alpha can change, and alpha in them and as far around as it counts."""
    tiles = edge_tiles(pha, reach_pixels)
    alpha = tiles.taken(pha, margin=reach_pixels)
    mixed = (alpha.max(axis=(1, 2)) > 0) & (alpha.min(axis=(1, 2)) < OPAQUE)
    return tiles.those(mixed), alpha[mixed]


def _changed(alpha: UInt8Array, edges: Edges) -> UInt8Array:
    """The new alpha of tiles."""
    if edges.levels != Edges.levels:
        alpha = np.take(levels_table(*edges.levels), alpha)
    if edges.shrink_pixels:
        alpha = shrunk(alpha, edges.shrink_pixels)
    return feathered(alpha, edges.feather_pixels) if edges.feather_pixels else alpha
