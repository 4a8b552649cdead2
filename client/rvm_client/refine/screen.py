"""The screen: one saturated colour behind the person, as in a studio; found, and how it is lit.

Lighting changes how bright a colour is far more than its hue. So colours are compared by their
chroma: what is left of RGB without its luma.
"""

from dataclasses import dataclass

import numpy as np

from rvm_client.pixels import UInt8Array
from rvm_client.refine.grids import BoolArray, FloatArray, Grid, spread

# Of the picture's shorter side: as fine as light and person are told apart by place.
_SHORT_SIDE_CELLS = 54
# Pixels of a cell that are looked at, across and down.
_TAPS = 4
# Alpha of what is surely behind the person, and in cells that the person does not reach.
_CLEAR_ALPHA, _CLEAR_CELL_ALPHA = 2, 12
# Less of the picture says nothing about what is behind the person.
_LEAST_CLEAR_SHARE = 0.04
# The screen's chroma, in levels: painted and woven screens have 60 and more, walls below 25.
_LEAST_CHROMA_LEVELS = 35.0
# What belongs to it: this much of its chroma, and no more across than this share of that. The
# angle is 22 degrees.
_LEAST_ALONG, _MOST_ACROSS = 0.35, 0.4
# Pixels of the person of full alpha.
SOLID_ALPHA = 250
# A screen that nobody told of: a studio may have lamps and edges beside it, but then so may a room.
# Screens with folds have an unevenness of 0.008, cloudy skies, grass and brick 0.017 and more.
_LEAST_SHARE, _MOST_UNEVENNESS, _MOST_SHARE_OF_PERSON = 0.95, 0.012, 0.2

# Of R, G and B: BT.709.
LUMA_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class Screen:
    """What is seen of the screen in one frame."""

    grid: Grid
    colours: FloatArray
    """[rows,columns,3]: the screen's colour in each cell, also behind the person."""
    hue: FloatArray
    """[3], of unit length: the direction of its chroma in RGB."""
    chroma_levels: float
    """How far its chroma is from grey."""
    share: float
    """How much of what is behind the person it is, 0 to 1."""
    unevenness: float
    """How much its luma differs from cell to cell, to its mean luma: the median."""
    share_of_person: float
    """How much of the person has its hue, 0 to 1."""
    sampled: FloatArray
    """[h,w,3]: the source's pixels that were looked at, every `step`-th."""
    step: int

    @property
    def is_plain(self) -> bool:
        """It is all that there is behind the person, flat, and of a colour that she has not."""
        return (
            self.share >= _LEAST_SHARE
            and self.unevenness <= _MOST_UNEVENNESS
            and self.share_of_person <= _MOST_SHARE_OF_PERSON
        )


def find_screen(src: UInt8Array, pha: UInt8Array) -> Screen | None:
    """The screen behind a person, or None where what is behind has no saturated colour.

    Args:
        src: [H,W,3] RGB.
        pha: [H,W] alpha, as the model made it.
    """
    height, width = pha.shape
    grid = Grid(height, width, max(2, round(min(height, width) / _SHORT_SIDE_CELLS)))
    step = max(1, grid.cell_pixels // _TAPS)
    sampled = src[::step, ::step].astype(np.float32)
    reached = spread(grid.extreme(pha, np.maximum), 1, np.maximum) > _CLEAR_CELL_ALPHA
    clear = _clear(grid, pha, reached, step)
    if clear.mean() < _LEAST_CLEAR_SHARE:
        return None
    chroma = chroma_of(sampled)
    middle = np.median(chroma[clear], axis=0)
    length = float(np.linalg.norm(middle))
    if length < _LEAST_CHROMA_LEVELS:
        return None
    hue = (middle / length).astype(np.float32)
    has_hue = _has_hue(chroma, hue, length)
    of_screen = clear & has_hue
    if not of_screen.any():
        return None
    # Its colours are seen up to the model's edge, too: light changes there as elsewhere.
    seen = has_hue & (pha[::step, ::step] <= _CLEAR_ALPHA)
    colours = grid.filled(sampled, seen, step)
    return Screen(
        grid,
        colours,
        hue,
        length,
        share=float(of_screen.sum() / clear.sum()),
        unevenness=_unevenness(colours @ LUMA_WEIGHTS, ~reached),
        share_of_person=_share(has_hue, pha[::step, ::step] >= SOLID_ALPHA),
        sampled=sampled,
        step=step,
    )


def chroma_of(colours: FloatArray) -> FloatArray:
    """Colours [...,3] less their luma: 0 where they are grey."""
    chroma: FloatArray = colours - (colours @ LUMA_WEIGHTS)[..., np.newaxis]
    return chroma


def _clear(grid: Grid, pha: UInt8Array, reached: BoolArray, step: int) -> BoolArray:
    """Which of every `step`-th pixel are behind the person, and not beside the edge."""
    rows, columns = (np.arange(0, pixels, step) // grid.cell_pixels for pixels in pha.shape)
    near = reached[rows[:, np.newaxis], columns]
    clear: BoolArray = (pha[::step, ::step] <= _CLEAR_ALPHA) & ~near
    return clear


def _has_hue(chroma: FloatArray, hue: FloatArray, length: float) -> BoolArray:
    along = chroma @ hue
    across = np.sqrt(np.maximum(np.square(chroma).sum(axis=-1) - along * along, 0))
    has_hue: BoolArray = (along > _LEAST_ALONG * length) & (across < _MOST_ACROSS * along)
    return has_hue


def _unevenness(luma: FloatArray, is_clear: BoolArray) -> float:
    """The median step from a clear cell to the clear one beside it, to the mean luma."""
    steps = np.abs(np.diff(luma, axis=1))[is_clear[:, 1:] & is_clear[:, :-1]]
    return float(np.median(steps) / max(luma.mean(), 1)) if steps.size else 0.0


def _share(mask: BoolArray, among: BoolArray) -> float:
    return float(mask[among].mean()) if among.any() else 0.0
