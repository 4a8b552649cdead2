"""Animated pictures for chats, stickers and mail: small, short, without sound, in an endless loop.

`shrink` makes the frames, and decides which are kept. WebP is encoded frame by frame. AVIF and GIF
hold the whole clip, as small as it then is: Pillow encodes an AVIF at once, and a GIF has one
palette for all of it.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from rvm_client.encode.edges import bleed_edges
from rvm_client.encode.file import OutputFile
from rvm_client.encode.gif import write_gif
from rvm_client.errors import UsageError
from rvm_client.frames import Picture, VideoInfo
from rvm_client.machine import available_cores
from rvm_client.options import MatteOptions
from rvm_client.output_types import AnimationLimits, OutputType
from rvm_client.pixels import UInt8Array

MILLISECOND = Fraction(1, 1000)
# A header rounds, and the sound may be a little longer than the picture.
_HEADER_TOLERANCE_SECONDS = 0.5
# Of the usual distance of two frames: closer ones, in a file of uneven times, are left out.
_CLOSEST = 0.75


def animated_file(
    path: Path, options: MatteOptions, info: VideoInfo, jobs_at_once: int
) -> "AnimatedFile":
    """What writes the options' output type, which is an animated one."""
    if options.output_type is OutputType.ANIMATED_WEBP:
        return AnimatedWebp(path, options, info)
    if options.output_type is OutputType.ANIMATED_AVIF:
        return AnimatedAvif(path, options, info, jobs_at_once)
    return AnimatedGif(path, options, info)


class AnimatedFile(OutputFile):
    """Scales frames down, leaves out those that are too many, and notes their times.

    Raises:
        UsageError: from `open` and `write`: the video is longer than its type may be.
    """

    def __init__(self, path: Path, options: MatteOptions, info: VideoInfo) -> None:
        super().__init__(path)
        limits = options.output_type.facts.animation
        assert limits is not None
        self._limits, self._options, self._info = limits, options, info
        self._size = animation_size(info, limits)
        self._frame_seconds = float(1 / info.average_fps)
        # A whole number: motion that was even stays so.
        self._step = max(1, math.ceil(info.average_fps / limits.frames_per_second - 0.01))
        self._count = 0
        self._kept_seconds = -math.inf
        self._end_seconds = 0.0

    @property
    def size_pixels(self) -> tuple[int, int]:
        """Width and height of the file's frames."""
        return self._size

    def _open(self) -> None:
        seconds = self._info.duration_seconds
        if seconds is not None and seconds > self._limits.seconds + _HEADER_TOLERANCE_SECONDS:
            raise self._too_long(f"{seconds:.1f} seconds")
        self._begin()

    def _write(self, picture: Picture) -> None:
        if picture.seconds >= self._limits.seconds:
            raise self._too_long("more")
        if self._keeps(picture.seconds):
            self._kept_seconds = picture.seconds
            self._add(small_picture(picture, self._size), picture.seconds)
        self._count += 1
        self._end_seconds = picture.seconds + self._frame_seconds

    def _keeps(self, seconds: float) -> bool:
        closest_seconds = _CLOSEST / self._limits.frames_per_second
        return self._count % self._step == 0 and seconds - self._kept_seconds >= closest_seconds

    def _too_long(self, has: str) -> UsageError:
        kind = self._options.output_type.value
        return UsageError(
            f"output_type {kind} is at most {self._limits.seconds} seconds long, and the video has "
            f"{has}; choose a part with start_seconds and end_seconds, or another type"
        )

    @abstractmethod
    def _begin(self) -> None:
        """Open the encoder, if it is one that takes frame by frame."""

    @abstractmethod
    def _add(self, rgba: UInt8Array, seconds: float) -> None:
        """The next frame, [h,w,4], and when it shows."""


class AnimatedWebp(AnimatedFile):
    """Straight alpha, which is lossless in WebP; see AnimatedFile.

    The last frame shows as long as the others do on average: so libwebp has it.
    """

    def __init__(self, path: Path, options: MatteOptions, info: VideoInfo) -> None:
        super().__init__(path, options, info)
        self.encoder = "libwebp_anim"
        self._container: OutputContainer | None = None

    def _begin(self) -> None:
        quality = self._options.prefer_quality
        # 0 is an endless loop.
        self._container = av.open(str(self._partial), "w", format="webp", options={"loop": "0"})
        stream = self._container.add_stream(
            "libwebp_anim",
            options={
                "quality": "90" if quality else "75",
                "compression_level": "6" if quality else "4",
            },
        )
        assert isinstance(stream, VideoStream)
        (stream.width, stream.height), stream.pix_fmt = self._size, "bgra"
        stream.time_base = stream.codec_context.time_base = MILLISECOND
        self._stream = stream

    def _add(self, rgba: UInt8Array, seconds: float) -> None:
        frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="bgra")
        frame.pts, frame.time_base = round(seconds / MILLISECOND), MILLISECOND
        self._mux(frame)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        assert self._container is not None
        self._container.mux(self._stream.encode(frame))

    def _finish(self) -> None:
        assert self._container is not None
        self._mux(None)
        self._container.close()

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()


class _HeldClip(AnimatedFile):
    """Holds the frames until the last one has come; see AnimatedFile."""

    def _begin(self) -> None:
        self._frames: list[UInt8Array] = []
        self._starts_seconds: list[float] = []

    def _add(self, rgba: UInt8Array, seconds: float) -> None:
        self._frames.append(rgba)
        self._starts_seconds.append(seconds)

    def _close(self) -> None:
        self._begin()

    def _times(self, unit: Fraction) -> list[int]:
        """When each frame shows, and when the last one ends; each rounded by itself, so that
        they do not drift."""
        return [round(seconds / unit) for seconds in (*self._starts_seconds, self._end_seconds)]


class AnimatedAvif(_HeldClip):
    """AV1 with straight alpha; see AnimatedFile."""

    def __init__(
        self, path: Path, options: MatteOptions, info: VideoInfo, jobs_at_once: int = 1
    ) -> None:
        super().__init__(path, options, info)
        self.encoder = "libavif"
        self._threads = max(1, available_cores() // jobs_at_once)

    def _finish(self) -> None:
        if not self._frames:
            return
        first, *others = (Image.fromarray(frame) for frame in self._frames)
        first.save(
            self._partial,
            "AVIF",
            save_all=True,
            append_images=others,
            duration=np.diff(self._times(MILLISECOND)).tolist(),
            quality=80 if self._options.prefer_quality else 60,
            speed=4 if self._options.prefer_quality else 6,
            max_threads=self._threads,
        )


class AnimatedGif(_HeldClip):
    """256 colours, of which one is nothing; see AnimatedFile and `gif`."""

    def __init__(self, path: Path, options: MatteOptions, info: VideoInfo) -> None:
        super().__init__(path, options, info)
        self.encoder = "gif"

    def _finish(self) -> None:
        write_gif(self._partial, self._frames, self._times(Fraction(1, 100)))


def animation_size(info: VideoInfo, limits: AnimationLimits) -> tuple[int, int]:
    """Width and height: of square pixels, scaled down to fit, never up."""
    width = info.width_pixels * max(info.sample_aspect_ratio, Fraction(1))
    height = info.height_pixels / min(info.sample_aspect_ratio, Fraction(1))
    scale = min(Fraction(1), limits.longest_side_pixels / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def small_picture(picture: Picture, size: tuple[int, int]) -> UInt8Array:
    """[h,w,4] of a picture. Colour and alpha are scaled each by itself: the colour is bled below
    the edge, so none of another kind comes into it."""
    colour = Image.fromarray(np.ascontiguousarray(bleed_edges(picture.fgr, picture.pha)))
    alpha = Image.fromarray(picture.pha)
    planes: Sequence[Image.Image] = [
        part if part.size == size else part.resize(size, Image.Resampling.BICUBIC)
        for part in (*colour.split(), alpha)
    ]
    return np.asarray(Image.merge("RGBA", planes))
