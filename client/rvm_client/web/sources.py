"""What a source is, and what a browser gets to see of it before anything is matted."""

import math
import threading
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from PIL import Image

from rvm_client.frames import VideoInfo
from rvm_client.isolated import Opener
from rvm_client.options import Limits, MatteOptions
from rvm_client.owned import part_file
from rvm_client.pipeline import make_proxy
from rvm_client.pixels import I420

POSTER_NAME = "poster.jpg"
PROXY_NAME = "source.mp4"
PREVIEW_SOURCE_NAME = "preview-source.mp4"
PREVIEW_SECONDS = 1.0
PREVIEW_WIDTH_PIXELS = 640
_PROXY_SIZE_PIXELS = 1280
_HALF_A_FRAME = Fraction(1, 2)
_POSTER_QUALITY = 85
_HEAD_BYTES = 64
# Codecs that every current browser decodes, by FFmpeg's names of decoders.
_PLAYED = {"video/mp4": ("h264",), "video/webm": ("vp8", "vp9", "libvpx", "libvpx-vp9")}


@dataclass(frozen=True)
class Found:
    """What is known of a source once it is there."""

    info: VideoInfo
    has_sound: bool
    played_type: str | None
    """The media type of a file that browsers play as it is."""


def inspect(source: Path, limits: Limits, opener: Opener) -> Found:
    """Look at a whole source, and decode its first frame.

    Raises:
        InputError: it is no video, or above a limit.
    """
    # One frame is not worth waking a GPU for.
    limits = limits.in_software()
    with opener.video(source, MatteOptions(warm_start=False), limits, takes_planes=True) as reader:
        played = media_type(source)
        # Others have more than 8 bits, are interlaced, turned or stretched: not all browsers
        # show them as we do.
        is_plain = isinstance(reader.info.layout, I420) and reader.decoder in _PLAYED.get(
            played or "", ()
        )
        info = reader.info
    sound = opener.sound(source, lambda _sentence: None)
    if sound is not None:
        sound.close()
    return Found(info, sound is not None, played if is_plain else None)


def media_type(source: Path) -> str | None:
    """The media type of a container that browsers play, by its first bytes."""
    with source.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head[4:8] == b"ftyp" and head[8:12] != b"qt  ":
        return "video/mp4"
    if head[:4] == b"\x1aE\xdf\xa3" and b"webm" in head:
        return "video/webm"
    return None


def write_poster(source: Path, target: Path, limits: Limits, opener: Opener) -> None:
    """Write the first frame as a JPEG.

    Raises:
        InputError: it cannot be decoded.
    """
    options = MatteOptions(max_width_pixels=PREVIEW_WIDTH_PIXELS, warm_start=False)
    with opener.video(source, options, limits) as reader, part_file(target) as part:
        frame = next(reader.chunks(1)).src[0]
        Image.fromarray(frame).save(part.path, "JPEG", quality=_POSTER_QUALITY)
        part.publish(target)


def write_first_second(
    source: Path, folder: Path, limits: Limits, opener: Opener, cancelled: threading.Event
) -> tuple[VideoInfo, int]:
    """Write the first second, reduced, as it was before; returns what it is and its frames.

    Raises:
        InputError: it cannot be decoded (yet).
    """
    target = folder / PREVIEW_SOURCE_NAME
    return make_proxy(source, target, preview_bounds(), limits, opener, cancelled)


def preview_bounds() -> MatteOptions:
    """What of a source its preview shows."""
    return MatteOptions(
        end_seconds=PREVIEW_SECONDS, max_width_pixels=PREVIEW_WIDTH_PIXELS, audio=False
    )


def is_first_second_whole(info: VideoInfo, frames: int) -> bool:
    """Whether a file that still comes has its first second already."""
    seconds = min(PREVIEW_SECONDS, info.duration_seconds or PREVIEW_SECONDS)
    return frames >= math.ceil(Fraction(seconds) * info.average_fps - _HALF_A_FRAME)


def write_proxy(
    source: Path, folder: Path, limits: Limits, opener: Opener, cancelled: threading.Event
) -> None:
    """Write all of a source as browsers play it, in a size for a page.

    Raises:
        InputError, OutputError, StoppedError: as `make_proxy`.
    """
    write_before(source, folder / PROXY_NAME, MatteOptions(), limits, opener, cancelled)


def write_before(
    source: Path,
    target: Path,
    options: MatteOptions,
    limits: Limits,
    opener: Opener,
    cancelled: threading.Event,
) -> None:
    """Write the part of a source that `options` name, likewise; raises as `write_proxy`."""
    bounds = replace(
        options, max_width_pixels=_PROXY_SIZE_PIXELS, max_height_pixels=_PROXY_SIZE_PIXELS
    )
    make_proxy(source, target, bounds, limits, opener, cancelled)
