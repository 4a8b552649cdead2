"""The colours of the edge: without the tint of the old background, and the person's own where alpha
has grown."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rvm_client.pixels import LUMA_WEIGHTS, RGB, PixelLayout, UInt8Array, planes
from rvm_client.refine.edges import shrunk
from rvm_client.refine.own_colours import own_colours
from rvm_client.refine.tiles import OPAQUE, Tiles

FloatArray = npt.NDArray[np.float32]

# So many pixels inside of the opaque ones, colours are no mixture with what was behind.
_MIXED_PIXELS = 2
# The tint is taken off wholly up to an alpha of 3/4, from there less and less up to 1.
_SLOPE = 4
_BT709 = 1
_CHROMA_SCALE = 2


@dataclass(frozen=True)
class _Change:
    """What becomes of the colours in the tiles of an edge: numbers of 0 to 1, [N,S,S]."""

    tint: FloatArray
    """How much of the tint is taken off."""
    gained: FloatArray
    """Which share of the new alpha was not there before."""
    unmixed: FloatArray
    """[M,S,S] in more tiles: 1 where a pixel has the person's own colour."""

    def in_chroma(self) -> "_Change":
        """For planes of half the size."""
        tint, gained, unmixed = map(_of_fours, (self.tint, self.gained, self.unmixed))
        return _Change(tint, gained, np.floor(unmixed))


def recolour(
    fgr: UInt8Array,
    old: UInt8Array,
    new: UInt8Array,
    tiles: Tiles,
    strength: float,
    layout: PixelLayout,
) -> None:
    """Change the colours of one frame, in place, where its edge is.

    Where alpha has grown, from `old` to `new`, the colour becomes the mixture

        (fgr * old + own * (new - old)) / new

    with the person's own colour nearby. From that, what differs in tint, but not in brightness,
    is taken off: of the difference to `own` without its luma,

        strength * min(1, 4 * (1 - alpha))

    where alpha is the least of `old` over two pixels around. Where nothing of the picture is
    opaque, there is no colour to go by, and nothing is changed.

    Args:
        fgr: foreground colour, [H,W,3] or [H*3/2,W] as the layout says.
        old: [H,W] the alpha that belongs to `fgr`.
        new: [H,W] the alpha that it gets.
        tiles: where the edge is.
        strength: 0 to 1.
        layout: how `fgr` lies.
    """
    tiles = tiles.those(
        (tiles.taken(new) > 0).any(axis=(1, 2)) & (tiles.taken(old) < OPAQUE).any(axis=(1, 2))
    )
    around = tiles.and_those_beside
    least = shrunk(around.taken(old, margin=_MIXED_PIXELS), _MIXED_PIXELS)
    unmixed = (least == OPAQUE).astype(np.float32)
    if not unmixed.any():
        return
    before, after = tiles.taken(old).astype(np.float32), tiles.taken(new).astype(np.float32)
    mixed = 1 - least[tiles.chosen[around.at]] / np.float32(OPAQUE)
    tint = np.float32(strength) * np.minimum(1, _SLOPE * mixed)
    gained = np.maximum(after - before, 0) / np.maximum(after, 1)
    change = _Change(tint, gained, unmixed)
    if layout == RGB:
        _recolour_rgb(fgr, tiles, around, change)
    else:
        _recolour_planes(fgr, tiles, around, change)


def _recolour_rgb(fgr: UInt8Array, tiles: Tiles, around: Tiles, change: _Change) -> None:
    near = around.taken(fgr)
    chosen = tiles.chosen[around.at]
    own = own_colours([near[..., index] for index in range(3)], tiles, around, change.unmixed)
    colours = [near[chosen, ..., index].astype(np.float32) for index in range(3)]
    for colour, its_own in zip(colours, own, strict=True):
        colour += change.gained * (its_own - colour)
        its_own -= colour
    red, blue = LUMA_WEIGHTS[_BT709]
    luma = sum(
        np.float32(weight) * difference
        for weight, difference in zip((red, 1 - red - blue, blue), own, strict=True)
    )
    for index, (colour, difference) in enumerate(zip(colours, own, strict=True)):
        difference -= luma
        difference *= change.tint
        near[chosen, ..., index] = _rounded(colour + difference)
    tiles.put(fgr, near[chosen])


def _recolour_planes(fgr: UInt8Array, tiles: Tiles, around: Tiles, change: _Change) -> None:
    luma, chroma = planes(fgr)
    chosen = tiles.chosen[around.at]
    if change.gained.any():
        near = around.taken(luma)
        (own,) = own_colours([near], tiles, around, change.unmixed)
        brightness = near[chosen].astype(np.float32)
        tiles.put(luma, _rounded(brightness + change.gained * (own - brightness)))
    change, scale = change.in_chroma(), _CHROMA_SCALE
    if not change.unmixed.any():
        return
    both_near = [around.taken(plane, scale=scale) for plane in chroma]
    found = own_colours(both_near, tiles, around, change.unmixed)
    for plane, near, own in zip(chroma, both_near, found, strict=True):
        colour = near[chosen].astype(np.float32)
        colour += change.gained * (own - colour)
        tiles.put(plane, _rounded(colour + change.tint * (own - colour)), scale)


def _rounded(levels: FloatArray) -> UInt8Array:
    return np.rint(levels, out=levels).clip(0, 255, out=levels).astype(np.uint8)


def _of_fours(tiles: FloatArray) -> FloatArray:
    """The means of 2x2 pixels of [N,S,S]."""
    rows = tiles[:, ::2] + tiles[:, 1::2]
    means: FloatArray = (rows[..., ::2] + rows[..., 1::2]) / 4
    return means
