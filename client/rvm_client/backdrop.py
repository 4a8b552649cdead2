"""Opens what is put behind the person: a colour, an image file or a video file."""

import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from rvm_client.decode import Reader, VideoReader
from rvm_client.encode import Backdrop, ColourBackdrop, PictureBackdrop, VideoBackdrop, cover
from rvm_client.errors import InputError
from rvm_client.frames import VideoInfo
from rvm_client.options import Limits
from rvm_client.pixels import Colour, UInt8Array
from rvm_client.prefetch import Prefetch

# Formats without code of their own in them; no vector graphics, no PostScript.
_IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
# Decoded, pixels take four bytes each, and several times over. JPEG is decoded at a fraction of
# its size.
_MAX_IMAGE_PIXELS = 40_000_000
_MAX_JPEG_PIXELS = 100_000_000
# What Pillow raises over damaged files; it has no error of its own.
_BROKEN_IMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    Image.DecompressionBombError,
)
# Pictures of the background video that are decoded ahead.
_QUEUE_DEPTH = 2
# A background video that is shorter does not start again: its last picture stays.
_SHORTEST_LOOP_SECONDS = 0.1
_MAX_FPS = 480


@dataclass(frozen=True)
class Fit:
    """What a picture has to cover."""

    width_pixels: int
    height_pixels: int
    stretch: float
    """See `cover`."""


class OpensBackground(Protocol):
    """How a background file is opened."""

    def video(self, path: Path, *, limits: Limits) -> Reader:
        """See VideoReader."""

    def picture(self, path: Path, fit: Fit) -> UInt8Array | None:
        """See `read_picture`."""


class _OpensHere:
    def video(self, path: Path, *, limits: Limits) -> Reader:
        return VideoReader(path, limits=limits)

    def picture(self, path: Path, fit: Fit) -> UInt8Array | None:
        return read_picture(path, fit)


@contextmanager
def open_backdrop(
    background: Colour | Path,
    info: VideoInfo,
    limits: Limits | None = None,
    opener: OpensBackground | None = None,
) -> Iterator[Backdrop]:
    """The backdrop of a colour, or of an image or video file, for frames as `info` says.

    Args:
        background: a colour or a file.
        info: of the frames.
        limits: hold for a background video as for any source; None: the usual ones.
        opener: opens the file; None: here.

    Raises:
        InputError: the file is neither an image nor a video that can be read.
    """
    limits, opener = limits or Limits(), opener or _OpensHere()
    width, height = info.width_pixels, info.height_pixels
    if isinstance(background, tuple):
        yield ColourBackdrop(background)
        return
    stretch = float(1 / info.sample_aspect_ratio)
    picture = opener.picture(background, Fit(width, height, stretch))
    if picture is not None:
        yield PictureBackdrop(picture)
        return
    with opener.video(background, limits=limits) as reader:
        stretch = float(reader.info.sample_aspect_ratio / info.sample_aspect_ratio)
    endless = _endless(background, limits, opener)
    with Prefetch(endless, depth=_QUEUE_DEPTH, name="backdrop") as pictures:
        yield VideoBackdrop(pictures, width, height, stretch)


def read_picture(path: Path, fit: Fit) -> UInt8Array | None:
    """The image of a file, upright and scaled to cover, as [H,W,3]; None if it is no image.

    Raises:
        InputError: there is no such file, or it is a broken or too large an image.
    """
    picture = _read_image(path, 2 * max(fit.width_pixels, fit.height_pixels))
    if picture is None:
        return None
    return cover(picture, fit.width_pixels, fit.height_pixels, fit.stretch)


def _read_image(path: Path, needed_pixels: int) -> UInt8Array | None:
    """The image as [H,W,3], upright; None if the file is no image.

    Its sides have `needed_pixels` at least, as far as the file has them, and not many times more.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_IMAGE_FORMATS) as image:
                _check_image_size(image, path)
                image.draft("RGB", (needed_pixels, needed_pixels))
                return np.asarray(_upright(image, needed_pixels))
    except UnidentifiedImageError:
        return None
    except FileNotFoundError as exc:
        raise InputError(f"there is no background file {path}") from exc
    except _BROKEN_IMAGE as exc:
        raise InputError(f"the background {path.name} is a broken image: {exc}") from exc


def _check_image_size(image: Image.Image, path: Path) -> None:
    limit = _MAX_JPEG_PIXELS if image.format in ("JPEG", "MPO") else _MAX_IMAGE_PIXELS
    if image.width * image.height > limit:
        raise InputError(
            f"the background {path.name} has {image.width}x{image.height} pixels, more than the "
            f"{limit} allowed; scale it down"
        )


def _upright(image: Image.Image, needed_pixels: int) -> Image.Image:
    """RGB, turned as its EXIF data says; over black where it is transparent."""
    ImageOps.exif_transpose(image, in_place=True)
    is_transparent = image.has_transparency_data
    mode = "RGBA" if is_transparent else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    image = image.reduce(max(1, min(image.size) // needed_pixels))
    if not is_transparent:
        return image
    black = Image.new("RGBA", image.size, "black")
    return Image.alpha_composite(black, image).convert("RGB")


def _endless(
    path: Path, limits: Limits, opener: OpensBackground
) -> Iterator[tuple[float, UInt8Array]]:
    """Time since the very start and picture, of a video that is played again and again."""
    start_s = 0.0
    while True:
        end_s = start_s
        for count, (time_s, duration_s, picture) in enumerate(_once(path, limits, opener), start=1):
            _check_rate(path, count, time_s)
            end_s = start_s + time_s + duration_s
            yield start_s + time_s, picture
        if count == 1 or end_s - start_s < _SHORTEST_LOOP_SECONDS:
            yield math.inf, picture
            return
        start_s = end_s


def _once(
    path: Path, limits: Limits, opener: OpensBackground
) -> Iterator[tuple[float, float, UInt8Array]]:
    """Time since its start, average duration, and picture, of a video."""
    with opener.video(path, limits=limits) as reader:
        info = reader.info
        for chunk in reader.chunks(1):
            time_s = float((chunk.pts[0] - info.first_pts) * info.time_base)
            yield time_s, float(1 / info.average_fps), chunk.src[0]


def _check_rate(path: Path, frames: int, seconds: float) -> None:
    """Refuse what would have to be decoded many times faster than it is shown."""
    if frames > _MAX_FPS * max(1.0, seconds):
        raise InputError(
            f"the background {path.name} has more than {_MAX_FPS} frames a second; "
            "give it the rate of the video"
        )
