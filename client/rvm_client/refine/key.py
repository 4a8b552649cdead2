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
# A pixel so near the screen's colour is the screen's, and a cell with none that is farther off:
# noise is as large.
_NOISE_LEVELS, _PLAIN_LEVELS = 5, 9
# One so far from it is the person's, where the model has no doubt.
_PERSON_LEVELS = 60


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
    person = _person(screen, pha)
    band = (guards.near == 1) & (guards.inside == 0)
    is_plain = np.zeros_like(band)
    is_plain[band] = _is_plain(screen, src, band)
    alpha, colours = pha * grid.over(guards.near * ~is_plain), fgr.copy()
    if person is not None:
        patch = grid.patch(band & ~is_plain)
        known = patch.read(np.concatenate([screen.colours, person, guards.ramps], axis=-1))
        _key(patch.y, patch.x, known, src, screen, colours, alpha)
    return colours, alpha


def _key(
    y: IndexArray,
    x: IndexArray,
    known: FloatArray,
    src: UInt8Array,
    screen: Screen,
    colours: UInt8Array,
    alpha: UInt8Array,
) -> None:
    """Key N pixels of colours and alpha, which are the model's.

    `known` is [8,N]: the screen's colour, the person's nearby, and the guards' ramps.
    """
    seen = _colours_at(src, y, x)
    levels_off = np.abs(seen - known[:3]).max(axis=0)
    has_no_doubt = _well_within(alpha, y, x, screen.grid.cell_pixels // _CELL_TO_WITHIN)
    # Pixels that are surely the person's stay as they are; what is left of hers is solved.
    left = np.flatnonzero(~has_no_doubt | (levels_off <= _PERSON_LEVELS))
    mixed = left[levels_off[left] > _NOISE_LEVELS]
    own = _own_colours(known[3:6, mixed], colours, alpha, screen, y[mixed], x[mixed])
    alpha[y[left], x[left]], colours[y[left], x[left]] = 0, known[3:6, left].T
    y, x, known = y[mixed], x[mixed], known[:, mixed]
    colour = _with_smooth_chroma(seen[:, mixed], src, y, x)
    share = share_of_person(colour, own, known[:3])
    share = _guarded(share, known[6:], has_no_doubt[mixed])
    alpha[y, x] = np.rint(share * 255)
    colours[y, x] = np.rint(unmixed(colour, share, own, known[:3], screen.hue)).T


def _is_plain(screen: Screen, src: UInt8Array, band: BoolArray) -> BoolArray:
    """Which cells of the band are the screen's, all of each, [M]: most, and they cost little."""
    low, high = screen.grid.ranges(src, band)
    colours = screen.colours[band]
    apart = np.maximum(high - colours, colours - low).max(axis=1)
    is_plain: BoolArray = apart <= _PLAIN_LEVELS
    return is_plain


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


def _guarded(share: FloatArray, ramps: FloatArray, has_no_doubt: BoolArray) -> FloatArray:
    """Alpha [N], 0 to 1, as far as the model's matte allows it; `ramps` are [2,N]."""
    near, inside = ramps
    # What of her clothes is near the screen's hue is hers, where the model has no doubt.
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
