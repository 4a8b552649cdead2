"""What refinements add to a frame: each alone, in the layouts that it takes."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial

import numpy as np
from PIL import Image

from bench.settings import BenchSettings
from bench.timing import interleaved
from rvm_client.alpha_edges import Edges
from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.pixels import I420, RGB, PixelLayout, UInt8Array, planes, yuv_to_rgb
from rvm_client.refine import refined
from rvm_client.refinements import Refinements
from rvm_client.subject import Subject
from rvm_export.verify.goldens import INT8_CASES

Matte = tuple[UInt8Array, UInt8Array]
"""fgr and pha of one frame."""
Place = tuple[float, float, float]
"""Left, top and height of a person's picture, as fractions of the whole."""

_ONE: tuple[Place, ...] = ((0.3, 0.1, 0.9),)
_TWO: tuple[Place, ...] = ((-0.05, 0.1, 0.9), (0.6, 0.4, 0.6))
_TOUCHING: tuple[Place, ...] = ((0.05, 0.1, 0.9), (0.5, 0.4, 0.6))
_REGIONS = (
    "box:0.1,0,0.6,1",
    "box:0.1,0,0.6,1@0;0.3,0,0.8,1@9",
    "polygon:0.1,0,0.6,0,0.8,1,0.2,1",
    "polygon:0.1,0,0.6,0,0.8,1,0.2,1@0;0.2,0,0.7,0,0.9,1,0.3,1@9",
)
_EDGES = ("shrink=1", "shrink=-2", "feather=4", "levels=0.1:0.9", "despill=0.5")
_PLANES = I420(yuv_to_rgb(1, full_range=False))
_RATE = 30
_FRAMES = 12
# People who touch were apart for so long.
_APART_FRAMES = 3


def measure_refinements(settings: BenchSettings) -> dict[str, dict[str, float]]:
    """Milliseconds a frame, of one thread."""
    calls: dict[str, Callable[[], None]] = {}
    for size, (height, width, _) in settings.sizes.items():
        one, two, touching = (_scene(people, height, width) for people in (_ONE, _TWO, _TOUCHING))
        largest = Refinements(subject=Subject.parse("largest"))
        calls[f"{size}, nothing"] = partial(_run, [one], Refinements())
        calls[f"{size}, largest, one person"] = partial(_run, [one], largest)
        calls[f"{size}, largest, two people"] = partial(_run, [two], largest)
        calls[f"{size}, largest, two who touch"] = partial(_run, [two, touching], largest)
        for text in _REGIONS:
            wishes = Refinements(subject=Subject.parse(text))
            calls[f"{size}, {text}"] = partial(_run, [one], wishes)
        for text in _EDGES:
            wishes = Refinements(edges=Edges.parse(text))
            in_planes = _in_planes(one[0]), one[1]
            calls[f"{size}, {text}"] = partial(_run, [one], wishes)
            calls[f"{size}, {text}, in planes"] = partial(_run, [in_planes], wishes, _PLANES)
    return interleaved(calls, dict.fromkeys(calls, _FRAMES), settings.repetitions)


def _run(mattes: Sequence[Matte], wishes: Refinements, layout: PixelLayout = RGB) -> None:
    height, width = mattes[0][1].shape
    info = VideoInfo(width, height, Fraction(1, _RATE), Fraction(_RATE), None, None, layout=layout)
    for _ in refined(_chunks(mattes), wishes, info):
        pass


def _chunks(mattes: Sequence[Matte]) -> Iterator[MatteChunk]:
    """The first matte for a few frames, then the last one."""
    for index in range(_FRAMES):
        fgr, pha = mattes[0 if index < _APART_FRAMES else -1]
        yield MatteChunk(fgr[np.newaxis], pha[np.newaxis], (index,), starts_scene=index == 0)


def _scene(people: Sequence[Place], height: int, width: int) -> Matte:
    """The golden portrait, once for each place."""
    fgr, pha = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    source = INT8_CASES[0].src[0], INT8_CASES[0].pha[0]
    for left_share, top_share, share in people:
        rows = round(height * share)
        size = rows * source[1].shape[1] // source[1].shape[0], rows
        left, top = round(left_share * width), round(top_share * height)
        colours, alpha = (
            np.asarray(Image.fromarray(array).resize(size))[:, max(0, -left) :] for array in source
        )
        there = np.s_[top : top + rows, max(0, left) : max(0, left) + alpha.shape[1]]
        here = tuple(slice(count) for count in pha[there].shape)
        shown = alpha[here] > pha[there]
        fgr[there][shown], pha[there][shown] = colours[here][shown], alpha[here][shown]
    return fgr, pha


def _in_planes(rgb: UInt8Array) -> UInt8Array:
    """[H*3/2,W] of a picture like it: as good to time."""
    height, width = rgb.shape[:2]
    packed = np.empty((height * 3 // 2, width), np.uint8)
    luma, chroma = planes(packed)
    luma[...] = rgb[..., 1]
    chroma[...] = np.moveaxis(rgb[::2, ::2, :2], -1, 0)
    return packed
