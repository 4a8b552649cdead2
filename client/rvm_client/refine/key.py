"""The key: alpha and colour of a person before a screen, from how far each pixel is from it.

Near the person's outline, each pixel C is a mix of a colour F of the person and a colour B of the
screen, C = alpha * F + (1 - alpha) * B. With F and B from beside it, alpha is how far C lies on the
way from B to F, by least squares, and F is then what C has without its part of B (Porter and Duff:
"Compositing Digital Images", SIGGRAPH 1984, has the mix; Smith and Blinn: "Blue Screen Matting",
SIGGRAPH 1996, what is to be solved). The model's matte is the guard: deep inside the person alpha
is 1, whatever she wears; far from her it is 0, whatever is on the screen.
"""

import numpy as np

from rvm_client.pixels import UInt8Array
from rvm_client.refine.grids import FloatArray, IndexArray, smoothed, spread
from rvm_client.refine.screen import LUMA_WEIGHTS, SOLID_ALPHA, Screen, chroma_of

# Cells with so much alpha are the person's; cells this far from them may hold hair.
_PERSON_ALPHA, _REACH_CELLS = 25, 4
# Cells with at least so much alpha, and this far from any with less, are deep inside.
_INSIDE_ALPHA, _DEPTH_CELLS = 242, 2
# The person's colours are taken from solid pixels with no more of the screen's chroma than this.
_MOST_HUE_OF_PERSON = 0.35
# Light tells person and screen apart worse than colour does, but has no coarser samples (4:2:0).
_LUMA_WEIGHT = 0.25
# Noise about the ends of the way is none of the other.
_NOISE = 0.03
# Below the first alpha the colour is that of the person nearby, above the second what was solved.
_MIX_FROM, _MIX_TO = 0.15, 0.55


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
    grid = screen.grid
    largest, smallest = grid.extreme(pha, np.maximum), grid.extreme(pha, np.minimum)
    near = spread(np.uint8(1) * (largest >= _PERSON_ALPHA), _REACH_CELLS, np.maximum)
    inside = spread(np.uint8(1) * (smallest >= _INSIDE_ALPHA), _DEPTH_CELLS, np.minimum)
    alpha, colours = pha.copy(), fgr.copy()
    alpha[grid.pixels_of(near == 0)] = 0
    person = _person(screen, pha)
    if person is None:
        return colours, alpha
    y, x = grid.pixels_of((near == 1) & (inside == 0))
    behind, nearby = grid.at(screen.colours, y, x), grid.at(person, y, x)
    own = _own_colours(nearby, fgr[y, x], pha[y, x], screen)
    mixed = _mixed(src, y, x)
    share = _share_of_person(mixed, own, behind)
    # The guard: both are 1 or 0 but for a ramp over a cell.
    share = np.maximum(share, 2 * grid.at(smoothed(inside.astype(np.float32)), y, x) - 1)
    share *= np.minimum(1.5 * grid.at(smoothed(near.astype(np.float32)), y, x), 1)
    alpha[y, x] = np.rint(share * 255)
    colours[y, x] = np.rint(_unmixed(mixed, share, own, behind, screen))
    return colours, alpha


def _person(screen: Screen, pha: UInt8Array) -> FloatArray | None:
    """The person's own colours in each cell, [rows,columns,3]; None where nobody is seen."""
    sampled, step = screen.sampled, screen.step
    along = chroma_of(sampled) @ screen.hue
    solid = pha[::step, ::step] >= SOLID_ALPHA
    solid &= along < _MOST_HUE_OF_PERSON * screen.chroma_levels
    return screen.grid.filled(sampled, solid, step) if solid.any() else None


def _own_colours(
    nearby: FloatArray, fgr: UInt8Array, pha: UInt8Array, screen: Screen
) -> FloatArray:
    """The person's colours [N,3]: the model's where it is sure of the person, else those nearby.

    The model's have the screen's hue in them beside the edge; no more of it is left than those
    nearby have.
    """
    sure = ((pha.astype(np.float32) / 255 - 0.5) / 0.4).clip(0, 1)
    return _with_less_hue(nearby + sure[:, np.newaxis] * (fgr - nearby), nearby, screen)


def _with_less_hue(colours: FloatArray, nearby: FloatArray, screen: Screen) -> FloatArray:
    """Colours [N,3] with no more of the screen's hue than those nearby."""
    most = np.maximum(chroma_of(nearby) @ screen.hue, 0)
    above = np.maximum(chroma_of(colours) @ screen.hue - most, 0)
    return colours - above[:, np.newaxis] * screen.hue


def _mixed(src: UInt8Array, y: IndexArray, x: IndexArray) -> FloatArray:
    """Colours of pixels, [N,3], with chroma between that of the four pixels around.

    Videos have one sample of chroma for two by two pixels: as steps it would show in alpha.
    """
    colours = src[y, x].astype(np.float32)
    height, width = src.shape[:2]
    above, below = np.maximum(y - 1, 0), np.minimum(y + 1, height - 1)
    left, right = np.maximum(x - 1, 0), np.minimum(x + 1, width - 1)
    around = src[above, left].astype(np.float32)
    for rows, columns in ((above, right), (below, left), (below, right)):
        around += src[rows, columns]
    return colours + (chroma_of(around / 4) - chroma_of(colours)) / 2


def _share_of_person(mixed: FloatArray, own: FloatArray, behind: FloatArray) -> FloatArray:
    """How far each colour is on the way from the screen's to the person's, [N], 0 to 1."""
    way, gone = own - behind, mixed - behind
    luma_way, luma_gone = way @ LUMA_WEIGHTS, gone @ LUMA_WEIGHTS
    way, gone = way - luma_way[:, np.newaxis], gone - luma_gone[:, np.newaxis]
    done = np.einsum("nc,nc->n", way, gone) + _LUMA_WEIGHT * luma_way * luma_gone
    length = np.einsum("nc,nc->n", way, way) + _LUMA_WEIGHT * luma_way * luma_way
    share = done / np.maximum(length, 1)
    return np.asarray(((share - _NOISE) / (1 - 2 * _NOISE)).clip(0, 1))


def _unmixed(
    mixed: FloatArray, share: FloatArray, own: FloatArray, behind: FloatArray, screen: Screen
) -> FloatArray:
    """The person's part of each colour, [N,3], 0 to 255; where it is small, what is known of it."""
    alpha = share[:, np.newaxis]
    solved = (mixed - (1 - alpha) * behind) / np.maximum(alpha, _MIX_FROM)
    trust = ((alpha - _MIX_FROM) / (_MIX_TO - _MIX_FROM)).clip(0, 1)
    return _with_less_hue(own + trust * (solved - own), own, screen).clip(0, 255)
