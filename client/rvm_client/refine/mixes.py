"""A pixel between two colours: how much of each it is, and what the one is without the other.

A pixel at a soft outline is C = alpha * F + (1 - alpha) * B, of a colour F of the person and a
colour B of the screen (Porter and Duff: "Compositing Digital Images", SIGGRAPH 1984). With F and B
from beside it, alpha is how far C lies on the way from B to F, by least squares, and F is then what
C has without its part of B (Smith and Blinn: "Blue Screen Matting", SIGGRAPH 1996, has what can be
solved). All colours here are [3,N], 0 to 255.
"""

import numpy as np

from rvm_client.refine.grids import FloatArray
from rvm_client.refine.screen import LUMA_WEIGHTS

# Light tells person and screen apart worse than colour does, but has no coarser samples (4:2:0).
_LUMA_WEIGHT = 0.25
# Noise about the ends of the way is none of the other.
_NOISE = 0.03
# Below the first alpha the colour is that of the person nearby, above the second what was solved.
_MIX_FROM, _MIX_TO = 0.15, 0.55


def with_less_hue(colours: FloatArray, nearby: FloatArray, hue: FloatArray) -> FloatArray:
    """Colours with no more of the screen's hue, [3], than those nearby."""
    # The product of this and a colour is that of the hue and the colour's chroma.
    along = hue - hue.sum() * LUMA_WEIGHTS
    above = along @ colours - np.maximum(along @ nearby, 0)
    less: FloatArray = colours - np.maximum(above, 0) * hue[:, np.newaxis]
    return less


def share_of_person(mixed: FloatArray, own: FloatArray, behind: FloatArray) -> FloatArray:
    """How far each colour is on the way from the screen's to the person's, [N], 0 to 1."""
    way, gone = own - behind, mixed - behind
    luma_way, luma_gone = LUMA_WEIGHTS @ way, LUMA_WEIGHTS @ gone
    way -= luma_way
    gone -= luma_gone
    done = (way * gone).sum(axis=0) + _LUMA_WEIGHT * luma_way * luma_gone
    length = (way * way).sum(axis=0) + _LUMA_WEIGHT * luma_way * luma_way
    share = done / np.maximum(length, 1)
    return np.asarray(((share - _NOISE) / (1 - 2 * _NOISE)).clip(0, 1))


def unmixed(
    mixed: FloatArray, share: FloatArray, own: FloatArray, behind: FloatArray, hue: FloatArray
) -> FloatArray:
    """The person's part of each colour; where it is small, her colour as far as it is known."""
    solved = (mixed - (1 - share) * behind) / np.maximum(share, _MIX_FROM)
    trust = ((share - _MIX_FROM) / (_MIX_TO - _MIX_FROM)).clip(0, 1)
    return with_less_hue(own + trust * (solved - own), own, hue).clip(0, 255)
