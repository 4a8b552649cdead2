"""Small sound files of all kinds, made with PyAV and Pillow: what is then damaged."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorTrc
from av.video.stream import VideoStream
from PIL import Image
from tests.support.clips import UInt8Array, filtered, frame_of, index_frame

SIZE = (96, 64)
FRAMES = 8
FPS = 25
_BT2020 = 9
_SOUND_SAMPLES = 1024
_SOUND_BITS_PER_SECOND = 128_000


@dataclass(frozen=True)
class Clip:
    """How a video is made."""

    name: str
    """Of the file; its suffix says the container."""
    codec: str
    pix_fmt: str = "yuv420p"
    sound: str | None = None
    """FFmpeg's name of the sound's encoder."""
    options: dict[str, str] = field(default_factory=dict)
    size: tuple[int, int] = SIZE
    turned_degrees: int | None = None
    transfer: ColorTrc | None = None
    """PQ or HLG."""
    interlaced: bool = False
    container: str | None = None
    """FFmpeg's name of it, where the suffix does not say it."""
    metadata: dict[str, str] = field(default_factory=dict)
    rate: int = 48_000
    """Samples of the sound a second."""


_FAST = {"preset": "ultrafast", "bf": "2"}
_HDR = {"x265-params": "log-level=none", "preset": "ultrafast"}
_VP9 = {"deadline": "realtime", "cpu-used": "8"}

CLIPS = (
    Clip("h264.mp4", "libx264", sound="aac", options=_FAST),
    Clip("fragmented.mp4", "libx264", sound="aac", options=_FAST | {"movflags": "frag_keyframe"}),
    Clip("turned.mov", "libx264", sound="pcm_s16le", options=_FAST, turned_degrees=90),
    Clip("444.mp4", "libx264", "yuv444p", options=_FAST, sound="libmp3lame"),
    Clip("interlaced.mp4", "libx264", options=_FAST | {"flags": "+ildct"}, interlaced=True),
    Clip("hevc.mp4", "libx265", sound="ac3", options=_HDR),
    Clip("hlg.mp4", "libx265", "yuv420p10le", options=_HDR, transfer=ColorTrc.ARIB_STD_B67),
    Clip("pq.mkv", "libx265", "yuv420p10le", options=_HDR, transfer=ColorTrc.SMPTE2084),
    Clip("av1.mp4", "libsvtav1", options={"preset": "12", "svtav1-params": "enable-overlays=0"}),
    Clip("mpeg4.mp4", "mpeg4", sound="aac"),
    Clip("alpha.webm", "libvpx-vp9", "yuva420p", sound="libopus", options=_VP9),
    Clip("vp8.webm", "libvpx", sound="libopus", options=_VP9),
    Clip("vp9.ivf", "libvpx-vp9", options=_VP9),
    Clip("tagged.mkv", "libx264", sound="flac", options=_FAST, metadata={"title": "\u00e9t\u00e9"}),
    Clip("ffv1.mkv", "ffv1", "yuv422p10le", sound="pcm_s16le"),
    Clip("mpeg4.avi", "mpeg4", sound="libmp3lame", metadata={"title": "\u00e9t\u00e9"}),
    Clip("mjpeg.avi", "mjpeg", "yuvj420p", sound="pcm_s16le"),
    Clip("raw.avi", "rawvideo", "bgr24"),
    Clip("utvideo.avi", "utvideo", "gbrp"),
    Clip("flv.flv", "flv", sound="libmp3lame", rate=44_100),
    Clip("h264.ts", "libx264", sound="aac", options=_FAST),
    Clip("mpeg2.ts", "mpeg2video", sound="mp2"),
    Clip("mpeg2.mpg", "mpeg2video", sound="mp2", container="mpeg"),
    Clip("vp8.ogg", "libvpx", sound="libopus", options=_VP9),
    Clip("wmv.wmv", "wmv2", sound="wmav2", container="asf"),
    Clip("mpeg2.mxf", "mpeg2video", sound="pcm_s16le", options={"g": "1", "bf": "0"}),
    Clip("prores.mov", "prores_ks", "yuva444p10le", sound="alac"),
    Clip("qtrle.mov", "qtrle", "argb"),
    Clip("png.mov", "png", "rgba"),
    Clip("dnxhd.mov", "dnxhd", "yuv422p", options={"profile": "dnxhr_sq"}, size=(256, 128)),
    Clip("mpeg4.nut", "mpeg4", sound="mp2"),
    Clip("raw.y4m", "wrapped_avframe"),
    Clip("raw.h264", "libx264", options=_FAST),
    Clip("raw.hevc", "libx265", options=_HDR),
    Clip("gif.gif", "gif", "rgb8"),
)


def make_clips(folder: Path) -> list[Path]:
    """All of `CLIPS`, as files."""
    return [_make_clip(folder / clip.name, clip) for clip in CLIPS]


def _make_clip(path: Path, clip: Clip) -> Path:
    with av.open(str(path), "w", format=clip.container, options=_muxing(clip)) as container:
        container.metadata.update(clip.metadata)
        video = container.add_stream(clip.codec, rate=FPS, options=clip.options)
        assert isinstance(video, VideoStream)
        video.width, video.height = clip.size
        video.pix_fmt = clip.pix_fmt
        context = video.codec_context
        context.thread_count = 1
        if clip.transfer is not None:
            context.color_trc, context.color_primaries = clip.transfer, ColorPrimaries.BT2020
            context.colorspace = _BT2020
        if clip.turned_degrees is not None:
            video.set_display_rotation(clip.turned_degrees)
        sound = _sound_stream(container, clip)
        for frame in _frames(clip):
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            _add_sound(container, sound)
    return path


def _muxing(clip: Clip) -> dict[str, str]:
    return {key: value for key, value in clip.options.items() if key == "movflags"}


def _frames(clip: Clip) -> list[av.VideoFrame]:
    matrix = _BT2020 if clip.transfer else 1
    frames = [frame_of(_picture(i, *clip.size), clip.pix_fmt, matrix=matrix) for i in range(FRAMES)]
    if clip.interlaced:
        frames = filtered(frames, [("setfield", "tff")])
    for index, frame in enumerate(frames):
        frame.pts, frame.time_base = index, Fraction(1, FPS)
        if clip.transfer is not None:
            frame.color_trc, frame.color_primaries = clip.transfer, ColorPrimaries.BT2020
    return frames


def _picture(index: int, width: int, height: int) -> UInt8Array:
    picture = index_frame(index, width, height)
    picture[16:, :, 0] = np.linspace(index * 8, 255, width).astype(np.uint8)
    return picture


def _sound_stream(container: OutputContainer, clip: Clip) -> AudioStream | None:
    if clip.sound is None:
        return None
    stream = container.add_stream(clip.sound, rate=clip.rate, layout="stereo")
    assert isinstance(stream, AudioStream)
    stream.codec_context.bit_rate = _SOUND_BITS_PER_SECOND
    return stream


def _add_sound(container: OutputContainer, stream: AudioStream) -> None:
    rate, format_ = stream.codec_context.sample_rate, stream.codec_context.format.name
    resampler = av.AudioResampler(
        format_, "stereo", rate, frame_size=stream.frame_size or _SOUND_SAMPLES
    )
    tone = np.sin(np.arange(_SOUND_SAMPLES) / 20).astype(np.float32)
    for index in range(FRAMES * rate // FPS // _SOUND_SAMPLES):
        frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]), "fltp", "stereo")
        frame.sample_rate = rate
        frame.pts, frame.time_base = index * _SOUND_SAMPLES, Fraction(1, rate)
        for ready in resampler.resample(frame):
            container.mux(stream.encode(ready))
    container.mux(stream.encode(None))


def make_pictures(folder: Path) -> list[Path]:
    """Pictures as they are put behind a person."""
    image = Image.fromarray(_picture(5, *SIZE))
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds: dict[str, Callable[[Path], None]] = {
        "rgb.png": lambda path: image.save(path),
        "grey16.png": lambda path: image.convert("I;16").save(path),
        "palette.png": lambda path: image.convert("P").save(path, transparency=3),
        "exif.jpg": lambda path: image.save(path, exif=exif),
        "cmyk.jpg": lambda path: image.convert("CMYK").save(path),
        "progressive.jpg": lambda path: image.save(path, progressive=True),
        "alpha.webp": lambda path: image.convert("RGBA").save(path),
        "gif.gif": lambda path: image.save(path),
        "bmp.bmp": lambda path: image.save(path),
        "tiff.tif": lambda path: image.save(path, exif=exif),
        "lzw.tif": lambda path: image.save(path, compression="tiff_lzw"),
    }
    for name, save in seeds.items():
        save(folder / name)
    return [folder / name for name in seeds]
