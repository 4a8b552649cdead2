"""Filter graphs for what swscale's own fast loop cannot convert, kept where they may serve again.

Deinterlacer, scaler and colour converter, then the turn into the upright position. Turning comes
last, so that chroma is upsampled with the siting that it was stored with.

HDR (PQ and HLG) is tone-mapped to BT.709 by swscale's perceptual colour mapping, which
compresses the light that SDR cannot show; phones record HLG without asking, so refusing it
would turn ordinary users away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

import av
import av.error
import av.filter
from av.video.reformatter import ColorPrimaries, ColorTrc

from rvm_client.decode.colour import SourceColour
from rvm_client.decode.geometry import UPRIGHT, Geometry, Orientation
from rvm_client.errors import InputError

T = TypeVar("T")

# Both names of 8-bit planar 4:2:0; the second one is always full range.
_FAST_FORMATS = ("yuv420p", "yuvj420p")
# For FFmpeg's `transpose`, by (mirrored_x, mirrored_y).
_TRANSPOSE = {
    (False, False): "cclock_flip",
    (True, False): "clock",
    (False, True): "cclock",
    (True, True): "clock_flip",
}
_FRAME_NUMBERS = Fraction(1)
_KEPT_GRAPHS = 4
_MAX_MAPPINGS = 16

Filters = list[tuple[str, str]]


@dataclass(frozen=True)
class Conversion:
    """All that a filter graph depends on; a change of it needs a new graph."""

    pixel_format: str
    colour: SourceColour
    geometry: Geometry
    deinterlaces: bool
    is_accurate: bool
    """Round to nearest and interpolate chroma, instead of swscale's fast loop."""

    @property
    def is_fast(self) -> bool:
        """Whether swscale's fast loop can convert the colours."""
        return (
            self.pixel_format in _FAST_FORMATS
            and not self.is_accurate
            and not self.colour.is_hdr
            and not self.geometry.is_scaled
        )

    @property
    def is_direct(self) -> bool:
        """Whether the fast loop alone does it, without a filter graph."""
        upright = self.geometry.orientation == UPRIGHT
        return self.is_fast and upright and not self.deinterlaces


class Graphs(Generic[T]):
    """Makes filter graphs, and keeps the last ones: a video may go back and forth between two.

    Raises:
        InputError: far too many that map HDR, each of which takes seconds to set up.
    """

    def __init__(self) -> None:
        self._kept: dict[Conversion, Graph[T]] = {}
        self._mappings = 0

    def for_conversion(self, conversion: Conversion) -> "Graph[T]":
        """A graph that may have been in use before."""
        graph = self._kept.pop(conversion, None) or self._new(conversion)
        if not graph.holds_back:
            self._kept[conversion] = graph
        if len(self._kept) > _KEPT_GRAPHS:
            del self._kept[next(iter(self._kept))]
        return graph

    def _new(self, conversion: Conversion) -> "Graph[T]":
        self._mappings += conversion.colour.is_hdr
        if self._mappings > _MAX_MAPPINGS:
            raise InputError(
                f"the video changes the kind of its HDR more than {_MAX_MAPPINGS} times; "
                "convert it to BT.709 first"
            )
        return Graph(conversion)


class Graph(Generic[T]):
    """A filter graph in use. Frames carry their number as timestamp while they are inside."""

    def __init__(self, conversion: Conversion) -> None:
        self.holds_back = conversion.deinterlaces
        """Whether a frame may stay inside until the next one comes, or `finish`."""
        self.colour = conversion.colour
        """The colour of the source."""
        self._waiting: list[T] = []
        self._pushed = 0
        self._graph = av.filter.Graph()
        steps = [self._graph.add(name, args) for name, args in _chain(conversion)]
        self._graph.link_nodes(*steps).configure()

    def convert(self, frame: av.VideoFrame, companion: T) -> Iterator[tuple[av.VideoFrame, T]]:
        """Those that are ready; `rgb24`, or `rgb48le` where the source has more than 8 bits."""
        frame.pts, frame.time_base = self._pushed, _FRAME_NUMBERS
        _tag(frame, self.colour)
        self._pushed += 1
        self._waiting.append(companion)
        self._graph.push(frame)
        yield from self._ready()

    def finish(self) -> Iterator[tuple[av.VideoFrame, T]]:
        """The rest; afterwards it is used up."""
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[tuple[av.VideoFrame, T]]:
        while True:
            try:
                picture = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield picture, self._waiting.pop(0)


def _tag(frame: av.VideoFrame, colour: SourceColour) -> None:
    """Write what we take the colour tags to mean, so that every filter takes them so."""
    frame.colorspace, frame.color_range = colour.matrix, colour.range_code
    # Without these tags the scaler leaves primaries and transfer of SDR as they are.
    frame.color_primaries = colour.primaries if colour.is_hdr else ColorPrimaries.UNSPECIFIED
    frame.color_trc = colour.transfer if colour.is_hdr else ColorTrc.UNSPECIFIED


def _chain(conversion: Conversion) -> Filters:
    return [
        ("buffer", _buffer(conversion)),
        *([("bwdif", "mode=send_frame:deint=interlaced")] if conversion.deinterlaces else []),
        *(_grey_to_yuv(conversion.colour) if conversion.colour.is_grey else []),
        ("scale", _scale(conversion)),
        ("format", f"pix_fmts={'rgb48le' if conversion.colour.is_deep else 'rgb24'}"),
        *_turn(conversion.geometry.orientation),
        ("buffersink", ""),
    ]


def _buffer(conversion: Conversion) -> str:
    geometry, colour = conversion.geometry, conversion.colour
    return (
        f"video_size={geometry.stored_width}x{geometry.stored_height}"
        f":pix_fmt={conversion.pixel_format}:time_base={_FRAME_NUMBERS.numerator}/1"
        f":colorspace={colour.matrix}:range={colour.range_code}"
    )


def _scale(conversion: Conversion) -> str:
    geometry, colour = conversion.geometry, conversion.colour
    args = f"w={geometry.scaled_width}:h={geometry.scaled_height}:out_range=full"
    if colour.is_hdr:
        args += ":intent=perceptual:out_primaries=bt709:out_transfer=bt709"
    # Any flag of accuracy keeps swscale from its fast loop, which is ten times as fast.
    flags = "bilinear" if conversion.is_fast else "bicubic+accurate_rnd+full_chroma_int"
    return f"{args}:flags={flags}"


def _grey_to_yuv(colour: SourceColour) -> Filters:
    """The same samples as luma. swscale takes every grey picture for full range."""
    depth = "" if colour.bits == 8 else f"{colour.bits}le"
    return [
        ("setparams", "range=full"),
        ("scale", "out_range=full"),
        ("format", f"pix_fmts=yuv444p{depth}"),
        ("setparams", f"range={'full' if colour.full_range else 'limited'}"),
    ]


def _turn(orientation: Orientation) -> Filters:
    mirrors = (orientation.mirrored_x, orientation.mirrored_y)
    if orientation.transposed:
        return [("transpose", f"dir={_TRANSPOSE[mirrors]}")]
    return [(name, "") for name, wanted in zip(("hflip", "vflip"), mirrors, strict=True) if wanted]
