"""Animated pictures for chats, stickers and mail: small, short, without sound, in an endless loop.

Frames are made small first, and some are left out. What is left is held until the last one has
come: Pillow encodes a clip at once, and a GIF has one palette for all of it.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
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
    if options.output_type is OutputType.GIF:
        return AnimatedGif(path, options, info)
    return AnimatedByPillow(path, options, info, jobs_at_once)


class AnimatedFile(OutputFile):
    """Scales frames down, leaves out those that are too many, and holds the others.

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
        self._closest_seconds = _CLOSEST / limits.frames_per_second
        self._frames: list[UInt8Array] = []
        self._starts_seconds: list[float] = []
        self._count = 0
        self._end_seconds = 0.0

    def _open(self) -> None:
        seconds = self._info.duration_seconds
        if seconds is not None and seconds > self._limits.seconds + _HEADER_TOLERANCE_SECONDS:
            raise self._too_long(f"{seconds:.1f} seconds")

    def _write(self, picture: Picture) -> None:
        if picture.seconds >= self._limits.seconds:
            raise self._too_long("more")
        if self._keeps(picture.seconds):
            self._frames.append(small_picture(picture, self._size))
            self._starts_seconds.append(picture.seconds)
        self._count += 1
        self._end_seconds = picture.seconds + self._frame_seconds

    def _keeps(self, seconds: float) -> bool:
        if not self._starts_seconds:
            return True
        is_apart = seconds - self._starts_seconds[-1] >= self._closest_seconds
        return self._count % self._step == 0 and is_apart

    def _too_long(self, has: str) -> UsageError:
        kind = self._options.output_type.value
        return UsageError(
            f"output_type {kind} is at most {self._limits.seconds} seconds long, and the video has "
            f"{has}; choose a part with start_seconds and end_seconds, or another type"
        )

    def _times(self, unit: Fraction) -> list[int]:
        """When each frame shows, and when the last one ends; each rounded by itself, so that
        they do not drift."""
        end_seconds = max(self._end_seconds, self._starts_seconds[-1] + self._closest_seconds)
        return [round(seconds / unit) for seconds in (*self._starts_seconds, end_seconds)]

    def _close(self) -> None:
        self._frames.clear()


class AnimatedByPillow(AnimatedFile):
    """WebP or AVIF; see AnimatedFile.

    FFmpeg writes WebP, too, frame by frame, but its encoder takes twice the memory that way.
    """

    def __init__(
        self, path: Path, options: MatteOptions, info: VideoInfo, jobs_at_once: int = 1
    ) -> None:
        super().__init__(path, options, info)
        self._threads = max(1, available_cores() // jobs_at_once)
        self._is_avif = options.output_type is OutputType.ANIMATED_AVIF
        self.encoder = "libavif" if self._is_avif else "libwebp"

    def _finish(self) -> None:
        if not self._frames:
            return
        first, *others = (Image.fromarray(frame) for frame in self._frames)
        first.save(
            self._partial,
            "AVIF" if self._is_avif else "WEBP",
            save_all=True,
            append_images=others,
            duration=np.diff(self._times(MILLISECOND)).tolist(),
            **self._settings(),
        )

    def _settings(self) -> dict[str, int]:
        quality = self._options.prefer_quality
        if self._is_avif:
            # An endless loop is the only one that Pillow writes.
            speed = 4 if quality else 6
            return {"quality": 80 if quality else 60, "speed": speed, "max_threads": self._threads}
        return {"quality": 90 if quality else 75, "method": 6 if quality else 4, "loop": 0}


class AnimatedGif(AnimatedFile):
    """256 colours, of which one is nothing; see AnimatedFile and `gif`."""

    def __init__(self, path: Path, options: MatteOptions, info: VideoInfo) -> None:
        super().__init__(path, options, info)
        self.encoder = "gif"

    def _finish(self) -> None:
        if not self._frames:
            return
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
