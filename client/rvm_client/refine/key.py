"""The key: alpha and colour of a person before a screen, from how far each pixel is from both.

The model's matte is the guard: deep inside the person alpha is 1, whatever she wears; far from her
it is 0, whatever is on the screen. The band between, along her outline, is solved pixel by pixel.
"""

from dataclasses import dataclass

import numpy as np

from rvm_client.pixels import UInt8Array
from rvm_client.refine.grids import (
    BoolArray,
    FloatArray,
    Grid,
    IndexArray,
    smoothed,
    spread,
)
from rvm_client.refine.mixes import share_of_person, unmixed, with_less_hue
from rvm_client.refine.screen import LUMA_WEIGHTS, SOLID_ALPHA, Screen, chroma_of

# Cells with so much alpha are the person's; cells this far from them may hold hair.
_PERSON_ALPHA, _REACH_CELLS = 25, 4
# Cells with at least so much alpha, and this far from any with less, are deep inside.
_INSIDE_ALPHA, _DEPTH_CELLS = 242, 1
# The model errs by less than this part of a cell where it is sure.
_CELL_TO_WITHIN = 3
# The person's colours are taken from solid pixels with no more of the screen's chroma than this.
_MOST_HUE_OF_PERSON = 0.35
# A pixel so near the screen's colour is the screen's: noise is as large.
_NOISE_LEVELS = 5


@dataclass(frozen=True)
class _Guards:
    """What is decided by the model's matte, in cells [rows,columns]: 1 or 0."""

    near: UInt8Array
    """Where the person may be."""
    inside: UInt8Array
    """Where nothing but the person is."""

    @classmethod
    def of(cls, grid: Grid, pha: UInt8Array) -> "_Guards":
        persons = grid.extreme(pha, np.maximum) >= _PERSON_ALPHA
        full = grid.extreme(pha, np.minimum) >= _INSIDE_ALPHA
        return cls(
            spread(persons.astype(np.uint8), _REACH_CELLS, np.maximum),
            spread(full.astype(np.uint8), _DEPTH_CELLS, np.minimum),
        )

    @property
    def ramps(self) -> FloatArray:
        """[rows,columns,2]: near and inside, smooth."""
        return smoothed(np.stack([self.near, self.inside], axis=-1).astype(np.float32))


def keyed(
    src: UInt8Array, fgr: UInt8Array, pha: UInt8Array, screen: Screen
) -> tuple[UInt8Array, UInt8Array]:
    """Foreground and alpha of one frame, sharper along the outline.

    Args:
        src: [H,W,3] RGB.
        fgr: [H,W,3], as the model made it.
        pha: [H,W], as the model made it.
        screen: of this frame.

    Returns:
        [H,W,3] straight foreground without the screen's colour, and [H,W] alpha.
    """
    grid, guards = screen.grid, _Guards.of(screen.grid, pha)
    alpha, colours = pha.copy(), fgr.copy()
    alpha[grid.pixels_of(guards.near == 0)] = 0
    person = _person(screen, pha)
    if person is None:
        return colours, alpha
    patch = grid.patch((guards.near == 1) & (guards.inside == 0))
    y, x = patch.y, patch.x
    known = patch.read(np.concatenate([screen.colours, person, guards.ramps], axis=-1))
    alpha[y, x], colours[y, x] = 0, known[3:6].T
    seen = _colours_at(src, y, x)
    # Most of the pixels are plainly the screen's, which costs little to see.
    others = np.flatnonzero(np.abs(seen - known[:3]).max(axis=0) > _NOISE_LEVELS)
    y, x, known = y[others], x[others], known[:, others]
    behind, own = known[:3], _own_colours(known[3:6], fgr, pha, screen, y, x)
    mixed = _with_smooth_chroma(seen[:, others], src, y, x)
    share = _guarded(share_of_person(mixed, own, behind), known[6:], pha, grid, y, x)
    alpha[y, x] = np.rint(share * 255)
    colours[y, x] = np.rint(unmixed(mixed, share, own, behind, screen.hue)).T
    return colours, alpha


def _person(screen: Screen, pha: UInt8Array) -> FloatArray | None:
    """The person's own colours in each cell, [rows,columns,3]; None where nobody is seen."""
    sampled, step = screen.sampled, screen.step
    along = chroma_of(sampled) @ screen.hue
    solid = pha[::step, ::step] >= SOLID_ALPHA
    solid &= along < _MOST_HUE_OF_PERSON * screen.chroma_levels
    return screen.grid.filled(sampled, solid, step) if solid.any() else None


def _colours_at(picture: UInt8Array, y: IndexArray, x: IndexArray) -> FloatArray:
    """Of pixels, [3,N]."""
    return np.ascontiguousarray(picture[y, x].T, np.float32)


def _own_colours(
    nearby: FloatArray,
    fgr: UInt8Array,
    pha: UInt8Array,
    screen: Screen,
    y: IndexArray,
    x: IndexArray,
) -> FloatArray:
    """The person's colours [3,N]: the model's where it is sure of the person, else those nearby.

    The model's have the screen's hue in them beside the edge; no more of it is left than those
    nearby have.
    """
    sure = ((pha[y, x].astype(np.float32) / 255 - 0.5) / 0.4).clip(0, 1)
    return with_less_hue(nearby + sure * (_colours_at(fgr, y, x) - nearby), nearby, screen.hue)


def _with_smooth_chroma(
    colours: FloatArray, src: UInt8Array, y: IndexArray, x: IndexArray
) -> FloatArray:
    """Colours of pixels, [3,N], with chroma between that of the four pixels around.

    Videos have one sample of chroma for two by two pixels: as steps it would show in alpha.
    """
    height, width = src.shape[:2]
    above, below = np.maximum(y - 1, 0), np.minimum(y + 1, height - 1)
    left, right = np.maximum(x - 1, 0), np.minimum(x + 1, width - 1)
    around = src[above, left].astype(np.uint16)
    for rows, columns in ((above, right), (below, left), (below, right)):
        around += src[rows, columns]
    apart = np.ascontiguousarray(around.T, np.float32) / 4 - colours
    return colours + (apart - LUMA_WEIGHTS @ apart) / 2


def _guarded(
    share: FloatArray,
    ramps: FloatArray,
    pha: UInt8Array,
    grid: Grid,
    y: IndexArray,
    x: IndexArray,
) -> FloatArray:
    """Alpha [N], 0 to 1, as far as the model's matte allows it; `ramps` are [2,N]."""
    near, inside = ramps
    # What of her clothes is near the screen's hue is hers, where the model has no doubt.
    has_no_doubt = _well_within(pha, y, x, grid.cell_pixels // _CELL_TO_WITHIN)
    share = np.where((share > 0.5) & has_no_doubt, 1, share)
    # Both are 1 or 0 but for a ramp over a cell.
    guarded: FloatArray = np.maximum(share, 2 * inside - 1) * np.minimum(1.5 * near, 1)
    return guarded


def _well_within(pha: UInt8Array, y: IndexArray, x: IndexArray, reach: int) -> BoolArray:
    """Which pixels [N] have full alpha at themselves and `reach` pixels to each side."""
    height, width = pha.shape
    least = pha[y, x]
    for down, across in ((-reach, 0), (reach, 0), (0, -reach), (0, reach)):
        rows, columns = (y + down).clip(0, height - 1), (x + across).clip(0, width - 1)
        np.minimum(least, pha[rows, columns], out=least)
    return least >= SOLID_ALPHA
