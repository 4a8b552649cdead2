"""A GIF of one palette: colours in an ordered pattern that stays where it is, hard alpha.

FFmpeg makes the palette of all pixels of the clip that show (median cut), and places them in a
Bayer matrix: error diffusion is smoother in one picture, but shimmers from one to the next.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.filter
import numpy as np
from av.filter.context import FilterContext

from rvm_client.pixels import UInt8Array

HUNDREDTH = Fraction(1, 100)
# Below it a pixel is nothing.
_ALPHA_THRESHOLD = 128
_PALETTE = {"stats_mode": "full", "reserve_transparent": "1"}
_DITHER = {"dither": "bayer", "bayer_scale": "4", "alpha_threshold": str(_ALPHA_THRESHOLD)}


def write_gif(path: Path, frames: Sequence[UInt8Array], times: Sequence[int]) -> None:
    """Write a GIF in an endless loop.

    Args:
        path: the file.
        frames: N > 0 pictures [h,w,4] of one size, straight alpha.
        times: N + 1 numbers: when each frame shows, in hundredths of a second, and the end.
    """
    last_shows = max(1, times[-1] - times[-2])
    options = {"loop": "0", "final_delay": str(last_shows)}
    with av.open(str(path), "w", format="gif", options=options) as container:
        stream = container.add_stream("gif")
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "pal8"
        stream.time_base = stream.codec_context.time_base = HUNDREDTH
        for frame in _in_palette(frames, _palette_of(frames)):
            assert frame.pts is not None
            frame.pts, frame.time_base = times[frame.pts], HUNDREDTH
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _palette_of(frames: Sequence[UInt8Array]) -> av.VideoFrame:
    """A frame of 16x16 colours."""
    graph = av.filter.Graph()
    source = _source_of(graph, frames)
    palette, sink = graph.add("palettegen", **_PALETTE), graph.add("buffersink")
    source.link_to(palette)
    palette.link_to(sink)
    graph.configure()
    for index, frame in enumerate(frames):
        source.push(_numbered(frame, index))
    source.push(None)
    made = sink.pull()
    assert isinstance(made, av.VideoFrame)
    return made


def _in_palette(frames: Sequence[UInt8Array], palette: av.VideoFrame) -> Iterator[av.VideoFrame]:
    """Frames of palette indices, numbered by their timestamps."""
    graph = av.filter.Graph()
    source = _source_of(graph, frames)
    colours = graph.add_buffer(
        width=palette.width, height=palette.height, format=palette.format, time_base=HUNDREDTH
    )
    dither, sink = graph.add("paletteuse", **_DITHER), graph.add("buffersink")
    source.link_to(dither, 0, 0)
    colours.link_to(dither, 0, 1)
    dither.link_to(sink)
    graph.configure()
    palette.pts, palette.time_base = 0, HUNDREDTH
    colours.push(palette)
    colours.push(None)
    for index, frame in enumerate(frames):
        source.push(_numbered(frame, index))
        yield from _ready(sink)
    source.push(None)
    yield from _ready(sink)


def _source_of(graph: av.filter.Graph, frames: Sequence[UInt8Array]) -> FilterContext:
    height, width = frames[0].shape[:2]
    format_ = av.VideoFormat("bgra", width, height)
    return graph.add_buffer(width=width, height=height, format=format_, time_base=HUNDREDTH)


def _numbered(rgba: UInt8Array, index: int) -> av.VideoFrame:
    """A frame for the filters, each pixel of which is there or not."""
    hard = rgba.copy()
    hard[..., 3] = np.where(rgba[..., 3] < _ALPHA_THRESHOLD, 0, 255)
    frame = av.VideoFrame.from_ndarray(hard, format="rgba").reformat(format="bgra")
    frame.pts, frame.time_base = index, HUNDREDTH
    return frame


def _ready(sink: FilterContext) -> Iterator[av.VideoFrame]:
    while True:
        try:
            frame = sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, av.VideoFrame)
        yield frame
