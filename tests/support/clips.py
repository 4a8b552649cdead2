"""Clips that the tests make themselves: every frame carries its own index."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.filter
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace

UInt8Array = npt.NDArray[np.uint8]

_INDEX_BITS = 10
_BIT_PIXELS = 16


def index_frame(index: int, width: int = 320, height: int = 192) -> UInt8Array:
    """A grey picture with `index` drawn into its top rows as black and white squares."""
    picture = np.full((height, width, 3), 128, np.uint8)
    for bit in range(_INDEX_BITS):
        value = 255 if index >> bit & 1 else 0
        picture[:_BIT_PIXELS, bit * _BIT_PIXELS : (bit + 1) * _BIT_PIXELS] = value
    return picture


def read_index(picture: UInt8Array) -> int:
    """The index that `index_frame` drew, read from a decoded picture."""
    centre = _BIT_PIXELS // 2
    samples = [picture[centre, bit * _BIT_PIXELS + centre, :3] for bit in range(_INDEX_BITS)]
    return sum(1 << bit for bit, rgb in enumerate(samples) if rgb.mean() > 127)


def write_clip(
    path: Path,
    frames: Sequence[UInt8Array],
    *,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 30_000),
    rate: Fraction = Fraction(30),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """Encode RGB frames [H,W,3] with BT.709, limited range, at the given timestamps."""
    height, width = frames[0].shape[:2]
    step = int(1 / (rate * time_base))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=rate, options={"crf": "10", "preset": "ultrafast"} | (options or {})
        )
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.time_base = stream.codec_context.time_base = time_base
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_range = ColorRange.MPEG
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format=pix_fmt,
                src_colorspace=Colorspace.ITU709,
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
            frame.pts = pts[index] if pts else index * step
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_frames(path: Path, *, decoder: str | None = None) -> Iterator[av.VideoFrame]:
    """All frames of the first video stream, decoded by the named decoder where one is given."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if decoder is None:
            yield from container.decode(stream)
            return
        context = av.CodecContext.create(decoder, "r")
        assert isinstance(context, av.video.codeccontext.VideoCodecContext)
        for packet in container.demux(stream):
            yield from context.decode(packet)


def alpha_plane(frame: av.VideoFrame) -> npt.NDArray[np.float64]:
    """Alpha of a planar YUVA frame, [H,W], scaled to 0..255 whatever its depth."""
    component = frame.format.components[3]
    dtype = np.uint8 if component.bits == 8 else np.uint16
    plane = frame.planes[3]
    rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
    alpha = rows[:, : plane.width].astype(np.float64)
    return alpha * (255 / ((1 << component.bits) - 1))


def to_rgb(frame: av.VideoFrame) -> UInt8Array:
    """Full-range RGB of a BT.709, limited-range frame, [H,W,3]."""
    rgb = frame.reformat(
        format="rgb24",
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return rgb.to_ndarray().astype(np.uint8, copy=False)


def write_frames(
    path: Path,
    frames: Sequence[av.VideoFrame],
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    time_base: Fraction = Fraction(1, 30_000),
    rate: Fraction = Fraction(30),
    sample_aspect_ratio: Fraction | None = None,
    turned_degrees: int | None = None,
    mirrored: tuple[bool, bool] = (False, False),
) -> Path:
    """Encode frames as they are, colour tags and format included; without pts: at the rate.

    `turned_degrees` (counter-clockwise) and `mirrored` (x, y) go into the display matrix.
    """
    first = frames[0]
    step = int(1 / (rate * time_base))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        assert isinstance(stream, av.video.stream.VideoStream)
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        stream.time_base = context.time_base = time_base
        context.colorspace, context.color_range = first.colorspace, first.color_range
        context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
        if sample_aspect_ratio is not None:
            context.sample_aspect_ratio = sample_aspect_ratio
        if turned_degrees is not None:
            stream.set_display_rotation(turned_degrees, *mirrored)
        for index, frame in enumerate(frames):
            if frame.pts is None:
                frame.pts = index * step
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def frame_of(
    picture: UInt8Array,
    pix_fmt: str = "yuv420p",
    *,
    matrix: int = Colorspace.ITU709,
    color_range: int = ColorRange.MPEG,
) -> av.VideoFrame:
    """An RGB picture [H,W,3] as a tagged frame of another pixel format."""
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format=pix_fmt,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=color_range,
    )
    frame.colorspace, frame.color_range = matrix, color_range
    return frame


def filtered(
    frames: Sequence[av.VideoFrame], filters: list[tuple[str, str]]
) -> list[av.VideoFrame]:
    """The frames after a chain of FFmpeg's filters."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frames[0].width,
        height=frames[0].height,
        format=frames[0].format,
        time_base=Fraction(1, 30),
    )
    steps = [source, *(graph.add(name, args) for name, args in filters), graph.add("buffersink")]
    graph.link_nodes(*steps).configure()
    out = []
    for index, frame in enumerate([*frames, None]):
        if frame is not None:
            frame.pts, frame.time_base = index, Fraction(1, 30)
        graph.push(frame)
        while True:
            try:
                out.append(graph.vpull())
            except (av.error.BlockingIOError, av.error.EOFError):
                break
    for frame in out:
        frame.pts = None
    return out


def retimed(source: Path, target: Path, pts_ms: Sequence[int]) -> Path:
    """Copy the packets of a clip without B-frames into Matroska, with any timestamps at all.

    Matroska stores presentation times only, so decoding times just keep the muxer content.
    """
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        packets = [packet for packet in before.demux(video=0) if packet.size]
        for index, (packet, pts) in enumerate(zip(packets, pts_ms, strict=True)):
            packet.stream = stream
            packet.time_base = Fraction(1, 1000)
            packet.pts, packet.dts = pts, index - len(packets)
            packet.duration = 33
            after.mux(packet)
    return target


# Kr and Kb of the matrices, by their codes in ITU-T H.273.
_LUMA_WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def yuv_of(
    picture: UInt8Array, matrix: int, *, full_range: bool, bits: int = 8
) -> npt.NDArray[np.float64]:
    """Y', Cb and Cr [H,W,3] of RGB [H,W,3] by the formulas of ITU-T H.273, 8.3, unrounded."""
    red_weight, blue_weight = _LUMA_WEIGHTS[matrix]
    red, green, blue = np.moveaxis(picture.astype(np.float64) / 255, -1, 0)
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    cb = (blue - luma) / (2 * (1 - blue_weight))
    cr = (red - luma) / (2 * (1 - red_weight))
    scale, peak = 1 << (bits - 8), (1 << bits) - 1
    gains = (peak, peak) if full_range else (219 * scale, 224 * scale)
    offsets = (0 if full_range else 16 * scale, 128 * scale)
    chroma = [component * gains[1] + offsets[1] for component in (cb, cr)]
    samples: npt.NDArray[np.float64] = np.stack([luma * gains[0] + offsets[0], *chroma], -1)
    return samples


def yuv_frame(
    samples: npt.NDArray[np.float64],
    matrix: int,
    *,
    full_range: bool,
    bits: int = 8,
    subsampled: bool = False,
) -> av.VideoFrame:
    """A tagged frame of the samples that `yuv_of` gives, rounded and clipped.

    4:4:4, or 4:2:0 with the chroma of every second column and line.
    """
    height, width = samples.shape[:2]
    name = "yuv420p" if subsampled else "yuv444p"
    frame = av.VideoFrame(width, height, name if bits == 8 else f"{name}{bits}le")
    dtype = np.dtype(np.uint8 if bits == 8 else "<u2")
    codes = np.clip(np.rint(samples), 0, (1 << bits) - 1)
    for index, plane in enumerate(frame.planes):
        step = 2 if subsampled and index else 1
        rows = np.zeros((plane.height, plane.line_size // dtype.itemsize), dtype)
        rows[:, : plane.width] = codes[::step, ::step, index]
        plane.update(rows.tobytes())
    frame.colorspace = matrix
    frame.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    return frame


def packed(picture: UInt8Array, matrix: int = 1, *, full_range: bool = False) -> UInt8Array:
    """RGB [...,H,W,3] of even size as I420 [...,H*3/2,W], chroma the mean of 2x2 pixels."""
    if picture.ndim > 3:
        return np.stack([packed(part, matrix, full_range=full_range) for part in picture])
    height, width = picture.shape[:2]
    yuv = yuv_of(picture, matrix, full_range=full_range)
    chroma = yuv[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3))
    parts = [yuv[..., 0].ravel(), *np.moveaxis(chroma, -1, 0).reshape(2, -1)]
    levels: UInt8Array = np.clip(np.rint(np.concatenate(parts)), 0, 255).astype(np.uint8)
    return levels.reshape(height * 3 // 2, width)
