"""Decoded frames to upright, progressive, full-range RGB pictures, by FFmpeg's filters.

8-bit 4:2:0 that only needs its colours converted, which is nearly every video, goes straight
through swscale's own fast loop. Everything else goes through a filter graph: deinterlacer,
scaler and colour converter, then the turn into the upright position. Turning comes last, so
that chroma is upsampled with the siting that it was stored with.

HDR (PQ and HLG) is tone-mapped to BT.709 by swscale's perceptual colour mapping, which
compresses the light that SDR cannot show; phones record HLG without asking, so refusing it
would turn ordinary users away.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

import av
import av.error
import av.filter
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc, VideoReformatter

from rvm_client.decode.colour import SourceColour, source_colour
from rvm_client.decode.dither import dither_into
from rvm_client.decode.geometry import UPRIGHT, Geometry, Orientation
from rvm_client.pixels import UInt8Array, plane_rows

T = TypeVar("T")
P = TypeVar("P")

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


@dataclass(frozen=True)
class RgbPicture:
    """A converted frame."""

    frame: av.VideoFrame
    """`rgb24`, or `rgb48le` where the source has more than 8 bits."""
    colour: SourceColour
    """The colour of the source."""

    def copy_to(self, out: UInt8Array) -> None:
        """Write it to [H,W,3]. A copy, because swscale cannot write into memory of ours."""
        rows = plane_rows(self.frame.planes[0])
        width = self.frame.width * 3
        if not self.colour.is_deep:
            np.copyto(out, rows[:, :width].reshape(out.shape))
            return
        dither_into(out, rows.view("<u2")[:, :width].copy(), self.colour.white_16_bit)


def rgb_pictures(
    frames: Iterable[tuple[av.VideoFrame, T]], geometry: Geometry, *, accurate: bool
) -> Iterator[tuple[RgbPicture, T]]:
    """Convert each frame to a picture; what comes with a frame goes with it.

    One picture comes out for each frame, in order. From the first interlaced frame on the
    interlaced ones are deinterlaced; timestamps of the frames are used up.

    Args:
        frames: decoded frames of one size, and anything that belongs to them.
        geometry: how they become upright and small enough.
        accurate: round to nearest and interpolate chroma also where the fast loop would do.

    Raises:
        InputError: the colours cannot be converted.
    """
    return pictures(frames, geometry, DirectRgb(), accurate=accurate)


def pictures(
    frames: Iterable[tuple[av.VideoFrame, T]],
    geometry: Geometry,
    direct: Callable[[av.VideoFrame, SourceColour], P],
    *,
    accurate: bool = False,
) -> Iterator[tuple[P | RgbPicture, T]]:
    """As `rgb_pictures`; what is made of frames that need no filter graph, says `direct`."""
    conversion: Conversion | None = None
    graph: _Graph[T] | None = None
    interlaced = False
    for frame, companion in frames:
        interlaced = interlaced or frame.interlaced_frame
        colour = source_colour(frame)
        wanted = Conversion(frame.format.name, colour, geometry, interlaced, accurate)
        if wanted != conversion:
            if graph is not None:
                yield from graph.finish()
            conversion = wanted
            graph = None if wanted.is_direct else _Graph(wanted)
        if graph is None:
            yield direct(frame, colour), companion
        else:
            yield from graph.convert(frame, companion)
    if graph is not None:
        yield from graph.finish()


class DirectRgb:
    """Converts the colours alone, by swscale's fast loop."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame, colour: SourceColour) -> RgbPicture:
        """The picture of a frame that needs no filter."""
        rgb = self._reformatter.reformat(
            frame,
            format="rgb24",
            src_colorspace=colour.matrix,
            dst_colorspace=colour.matrix,
            src_color_range=colour.range_code,
            dst_color_range=ColorRange.JPEG,
        )
        return RgbPicture(rgb, colour)


class _Graph(Generic[T]):
    """A filter graph in use. Frames carry their number as timestamp while they are inside."""

    def __init__(self, conversion: Conversion) -> None:
        self._colour = conversion.colour
        self._waiting: list[T] = []
        self._pushed = 0
        self._graph = av.filter.Graph()
        steps = [self._graph.add(name, args) for name, args in _chain(conversion)]
        self._graph.link_nodes(*steps).configure()

    def convert(self, frame: av.VideoFrame, companion: T) -> Iterator[tuple[RgbPicture, T]]:
        frame.pts, frame.time_base = self._pushed, _FRAME_NUMBERS
        _tag(frame, self._colour)
        self._pushed += 1
        self._waiting.append(companion)
        self._graph.push(frame)
        yield from self._ready()

    def finish(self) -> Iterator[tuple[RgbPicture, T]]:
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[tuple[RgbPicture, T]]:
        while True:
            try:
                picture = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield RgbPicture(picture, self._colour), self._waiting.pop(0)


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
