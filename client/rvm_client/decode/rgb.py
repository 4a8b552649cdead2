"""Decoded frames to upright, progressive, full-range RGB pictures, by FFmpeg's filters.

8-bit 4:2:0 that only needs its colours converted, which is nearly every video, goes straight
through swscale's own fast loop. Everything else goes through a filter graph; see `graphs`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from rvm_client.decode.colour import SourceColour, source_colour
from rvm_client.decode.dither import dither_into
from rvm_client.decode.geometry import Geometry
from rvm_client.decode.graphs import Conversion, Graph, Graphs
from rvm_client.pixels import UInt8Array, plane_rows

T = TypeVar("T")
P = TypeVar("P")


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
    graphs, graph = Graphs[T](), None
    interlaced = False
    for frame, companion in frames:
        interlaced = interlaced or frame.interlaced_frame
        colour = source_colour(frame)
        wanted = Conversion(frame.format.name, colour, geometry, interlaced, accurate)
        if wanted != conversion:
            if graph is not None and graph.holds_back:
                yield from _rgb(graph.finish(), graph)
            conversion = wanted
            graph = None if wanted.is_direct else graphs.for_conversion(wanted)
        if graph is None:
            yield direct(frame, colour), companion
        else:
            yield from _rgb(graph.convert(frame, companion), graph)
    if graph is not None:
        yield from _rgb(graph.finish(), graph)


def _rgb(
    converted: Iterator[tuple[av.VideoFrame, T]], graph: Graph[T]
) -> Iterator[tuple[RgbPicture, T]]:
    for picture, companion in converted:
        yield RgbPicture(picture, graph.colour), companion


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
