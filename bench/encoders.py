"""Encoder settings: speed, size, and how near the result comes to what went in.

Each row encodes the same mattes. Quality is FFmpeg's SSIM, of the alpha plane and of what a
viewer sees: the person over green.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import av.filter
import numpy as np

from bench.clips import write_clip
from bench.settings import BenchSettings
from rvm_client.decode import VideoReader
from rvm_client.encode import VIDEO_FORMATS
from rvm_client.encode.edges import bleed_edges
from rvm_client.encode.formats import VideoFormat
from rvm_client.encode.video_file import VideoFile
from rvm_client.encode.yuv import (
    grey_frame,
    pad_to_even,
    yuv_frame,
    yuva420_frame,
    yuva444_10_bit_frame,
)
from rvm_client.frames import MatteChunk, Picture, VideoInfo
from rvm_client.machine import Hardware
from rvm_client.matte import ChunkShape, MattingModel
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import GREEN, UInt8Array, composite
from rvm_client.server import TritonServer

_H264 = VIDEO_FORMATS[OutputType.GREENSCREEN]
_VP9 = VIDEO_FORMATS[OutputType.ALPHA]
_HEVC = VIDEO_FORMATS[OutputType.ALPHA_HEVC]
_PRORES = VIDEO_FORMATS[OutputType.ALPHA_PRORES]


def _with(format_: VideoFormat, **changes: str) -> VideoFormat:
    options = {name.replace("_", "-"): value for name, value in changes.items()}
    return replace(format_, codec_options=dict(format_.codec_options) | options, hardware=None)


def _prores(codec: str) -> VideoFormat:
    return replace(_PRORES, codec=codec, hardware=None)


# The first of each type is what `formats` has.
SETTINGS: dict[OutputType, dict[str, VideoFormat]] = {
    OutputType.GREENSCREEN: {
        "libx264 veryfast, crf 18": _with(_H264),
        "libx264 ultrafast, crf 18": _with(_H264, preset="ultrafast"),
        "libx264 superfast, crf 18": _with(_H264, preset="superfast"),
        "libx264 faster, crf 18": _with(_H264, preset="faster"),
        "libx264 medium, crf 18": _with(_H264, preset="medium"),
        "libx264 medium, crf 23": _with(_H264, preset="medium", crf="23"),
    },
    OutputType.ALPHA: {
        "VP9 real time, cpu-used 6, crf 24": _with(_VP9),
        "VP9 real time, cpu-used 5, crf 24": _with(_VP9, cpu_used="5"),
        "VP9 real time, cpu-used 7, crf 24": _with(_VP9, cpu_used="7"),
        "VP9 real time, cpu-used 8, crf 24": _with(_VP9, cpu_used="8"),
        "VP9 good, cpu-used 6, crf 24": _with(_VP9, deadline="good"),
        "VP9 good, cpu-used 6, crf 30": _with(_VP9, deadline="good", crf="30"),
        "VP9 real time, cpu-used 6, crf 30": _with(_VP9, crf="30"),
    },
    OutputType.ALPHA_HEVC: {
        "HEVC with alpha, superfast, crf 20": _with(_HEVC),
        "HEVC with alpha, ultrafast, crf 20": _with(_HEVC, preset="ultrafast"),
        "HEVC with alpha, veryfast, crf 20": _with(_HEVC, preset="veryfast"),
        "HEVC with alpha, superfast, crf 23": _with(_HEVC, crf="23"),
    },
    OutputType.ALPHA_PRORES: {
        "prores_aw": _prores("prores_aw"),
        "prores_ks": _prores("prores_ks"),
    },
}


@dataclass(frozen=True)
class Material:
    """What is encoded, and what it is compared with."""

    info: VideoInfo
    mattes: list[MatteChunk]

    def pictures(self) -> Iterator[Picture]:
        """One after the other."""
        for chunk in self.mattes:
            for fgr, pha, pts in zip(chunk.fgr, chunk.pha, chunk.pts, strict=True):
                yield Picture(fgr, pha, pts, float(pts * self.info.time_base))


def measure_encoders(
    settings: BenchSettings, folder: Path, server: TritonServer
) -> dict[str, dict[str, float]]:
    """A row for each of `SETTINGS`."""
    clip = settings.clip or write_clip(folder / "encoders.mp4", 1080, 1920, settings.clip_frames)
    material = matted(clip, server, settings.clip_frames)
    rows = {}
    for kind, candidates in SETTINGS.items():
        frames = [(picture, _frame(kind, picture)) for picture in material.pictures()]
        for name, format_ in candidates.items():
            target = folder / f"encoder{kind.suffix}"
            row = _encode(format_, frames, target, material.info)
            rows[name] = row | _quality(kind, target, material)
    return rows


def matted(clip: Path, server: TritonServer, frames: int) -> Material:
    """The mattes of the first frames of a clip, in memory."""
    mattes: list[MatteChunk] = []
    with VideoReader(clip) as reader, MattingModel(server.grpc_url) as model:
        info = reader.info
        ratio = MatteOptions().ratio_for(info.width_pixels, info.height_pixels)
        shape = ChunkShape(1, info.height_pixels, info.width_pixels)
        with model.session(ratio, shape) as session:
            for chunk in session.staged(reader.chunks(1)):
                matte = session.matte(chunk)
                mattes.append(MatteChunk(matte.fgr.copy(), matte.pha.copy(), matte.pts))
                if len(mattes) == frames:
                    break
    return Material(info, mattes)


def _frame(kind: OutputType, picture: Picture) -> av.VideoFrame:
    """What `encode` makes of a picture, for the types of `SETTINGS`."""
    if kind is OutputType.GREENSCREEN:
        return yuv_frame(pad_to_even(composite(picture.fgr, picture.pha, GREEN)), "yuv420p")
    colour = bleed_edges(picture.fgr, picture.pha)
    if kind is OutputType.ALPHA:
        return yuva420_frame(colour, picture.pha)
    if kind is OutputType.ALPHA_HEVC:
        return yuva420_frame(pad_to_even(colour), pad_to_even(picture.pha))
    return yuva444_10_bit_frame(pad_to_even(colour), pad_to_even(picture.pha))


def _encode(
    format_: VideoFormat,
    frames: list[tuple[Picture, av.VideoFrame]],
    target: Path,
    info: VideoInfo,
) -> dict[str, float]:
    """The encoder and the muxer alone."""
    ready = iter([frame for _, frame in frames])
    file = VideoFile(target, format_, lambda _: next(ready), info, MatteOptions(), Hardware())
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    file.open()
    for picture, _ in frames:
        file.write(picture)
    file.finish()
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    file.publish()
    return {
        "fps": round(len(frames) / wall_s, 1),
        "cpu_ms": round(1000 * cpu_s / len(frames), 1),
        "kb_a_frame": round(target.stat().st_size / 1000 / len(frames), 1),
    }


def _quality(kind: OutputType, target: Path, material: Material) -> dict[str, float]:
    over_green, alpha = [], []
    for picture, (fgr, pha) in zip(material.pictures(), _decoded(kind, target), strict=True):
        # What was added to make the size even is not compared.
        height, width = picture.pha.shape
        shown = fgr if pha is None else composite(fgr, pha, GREEN)
        meant = composite(picture.fgr, picture.pha, GREEN)
        over_green.append((_yuv(shown[:height, :width]), _yuv(meant)))
        if pha is not None:
            alpha.append((_grey(pha[:height, :width]), _grey(picture.pha)))
    found = {"ssim_over_green": _mean_similarity(over_green)}
    return found | ({"ssim_alpha": _mean_similarity(alpha)} if alpha else {})


def _decoded(kind: OutputType, path: Path) -> Iterator[tuple[UInt8Array, UInt8Array | None]]:
    has_alpha = kind.facts.keeps_alpha
    with VideoReader(path, keeps_alpha=has_alpha) as reader:
        if has_alpha:
            for chunk in reader.mattes():
                yield chunk.fgr[0], chunk.pha[0]
        else:
            for source in reader.chunks(1):
                yield source.src[0], None


def _grey(pha: UInt8Array) -> av.VideoFrame:
    return grey_frame(pad_to_even(pha))


def _yuv(rgb: UInt8Array) -> av.VideoFrame:
    return yuv_frame(pad_to_even(np.ascontiguousarray(rgb)), "yuv420p")


class _Similarity:
    """FFmpeg's `ssim` filter: 1 is equal."""

    def __init__(self, first: av.VideoFrame) -> None:
        self._graph = av.filter.Graph()
        self._count = 0
        ssim, self._sink = self._graph.add("ssim"), self._graph.add("buffersink")
        self._sources = [
            self._graph.add_buffer(
                width=first.width, height=first.height, format=first.format,
                time_base=Fraction(1, 25), name=name,
            )
            for name in ("result", "reference")
        ]  # fmt: skip
        for pad, source in enumerate(self._sources):
            source.link_to(ssim, 0, pad)
        ssim.link_to(self._sink)
        self._graph.configure()

    def of(self, result: av.VideoFrame, reference: av.VideoFrame) -> float:
        """The similarity of two frames of the size of the first one."""
        for source, picture in zip(self._sources, (result, reference), strict=True):
            picture.pts, picture.time_base = self._count, Fraction(1, 25)
            source.push(picture)
        self._count += 1
        return float(self._sink.pull().metadata["lavfi.ssim.All"])


def _mean_similarity(pairs: Iterable[tuple[av.VideoFrame, av.VideoFrame]]) -> float:
    similarity: _Similarity | None = None
    found = []
    for result, reference in pairs:
        similarity = similarity or _Similarity(reference)
        found.append(similarity.of(result, reference))
    return round(float(np.mean(found)), 4)
