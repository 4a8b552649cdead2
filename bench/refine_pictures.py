"""`python -m bench.refine_pictures FOLDER`: the pictures of docs/refine.md, before and after.

Made of the golden portrait and its golden alpha. What stood behind it is a green here, and what
the soft edge has of it is left in the foreground, as a matte that is not perfect has it.
"""

from fractions import Fraction
from pathlib import Path

import click
import numpy as np
from PIL import Image

from rvm_client.alpha_edges import Edges
from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.pixels import GREEN, UInt8Array, checkerboard, composite
from rvm_client.refine import refined
from rvm_client.refinements import Refinements
from rvm_client.subject import Subject
from rvm_export.verify.goldens import INT8_CASES

EDGES = ("shrink=1.5", "feather=6", "despill=1", "levels=0.2:0.8")
_PAPER = (235, 235, 235)
# Top, left, height and width of what is shown of an edge, and how many times as large.
_DETAIL = (4, 150, 56, 72)
_ZOOM = 5
_GAP_PIXELS = 8
_DROPPED = (255, 0, 60)

Matte = tuple[UInt8Array, UInt8Array]
"""fgr [H,W,3] and pha [H,W]."""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Write the pictures into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    portrait = INT8_CASES[0].src[-1], INT8_CASES[0].pha[-1]
    for text in EDGES:
        spilled = composite(*portrait, GREEN), portrait[1]
        after = _refined(spilled, Refinements(edges=Edges.parse(text)))
        _write(folder / f"{text.partition('=')[0]}.jpg", _detail(spilled), _detail(after))
    two = _with_another(portrait)
    kept = _refined(two, Refinements(subject=Subject.parse("largest")))
    _write(folder / "largest.jpg", _shown(two, two), _shown(kept, two))
    cut = _refined(two, Refinements(subject=Subject.parse("polygon:0.45,0,1,0,1,1,0.33,1")))
    _write(folder / "polygon.jpg", _shown(two, two), _shown(cut, two))


def _refined(matte: Matte, refinements: Refinements) -> Matte:
    fgr, pha = matte
    height, width = pha.shape
    info = VideoInfo(width, height, Fraction(1, 30), Fraction(30), None, None)
    chunk = MatteChunk(fgr[np.newaxis], pha[np.newaxis], (0,), starts_scene=True)
    (result,) = refined(iter([chunk]), refinements, info)
    return result.fgr[0], result.pha[0]


def _with_another(portrait: Matte) -> Matte:
    """The portrait, and beside it a smaller one that looks the other way."""
    small: list[UInt8Array] = []
    for array in portrait:
        height, width = array.shape[:2]
        image = Image.fromarray(array).resize((width * 3 // 4, height * 3 // 4))
        small.append(np.asarray(image)[:, ::-1])
    fgr, pha = (np.zeros((array.shape[0], 780, *array.shape[2:]), np.uint8) for array in portrait)
    for picture, (left, top) in ((tuple(small), (-130, 72)), (portrait, (268, 0))):
        colours, alpha = (array[:, max(0, -left) :] for array in picture)
        there = np.s_[top:, max(0, left) : max(0, left) + alpha.shape[1]]
        shown = alpha > pha[there]
        fgr[there][shown], pha[there][shown] = colours[shown], alpha[shown]
    return fgr, pha


def _detail(matte: Matte) -> UInt8Array:
    top, left, height, width = _DETAIL
    part = composite(*matte, _PAPER)[top : top + height, left : left + width]
    return part.repeat(_ZOOM, 0).repeat(_ZOOM, 1)


def _shown(matte: Matte, whole: Matte) -> UInt8Array:
    """As the preview shows it: what is dropped in a tint."""
    fgr, pha = whole
    tinted = composite(fgr, np.full_like(pha, 115), _DROPPED)
    height, width = pha.shape
    board = composite(tinted, pha - matte[1], checkerboard(height, width, 18))
    return composite(*matte, board)


def _write(path: Path, before: UInt8Array, after: UInt8Array) -> None:
    gap = np.full((before.shape[0], _GAP_PIXELS, 3), 255, np.uint8)
    Image.fromarray(np.concatenate([before, gap, after], axis=1)).save(path, quality=80)


if __name__ == "__main__":
    main()
