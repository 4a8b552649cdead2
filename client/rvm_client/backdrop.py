"""Opens what is put behind the person: a colour, an image file or a video file."""

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
_MAX_IMAGE_PIXELS = 100_000_000
# Pictures of the background video that are decoded ahead.
_QUEUE_DEPTH = 2


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
    picture = _read_image(path)
    if picture is None:
        return None
    return cover(picture, fit.width_pixels, fit.height_pixels, fit.stretch)


def _read_image(path: Path) -> UInt8Array | None:
    """The image as [H,W,3], upright; None if the file is no image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_IMAGE_FORMATS) as image:
                _check_image_size(image, path)
                return np.asarray(_upright(image))
    except UnidentifiedImageError:
        return None
    except FileNotFoundError as exc:
        raise InputError(f"there is no background file {path}") from exc
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise InputError(f"the background {path.name} is a broken image: {exc}") from exc


def _check_image_size(image: Image.Image, path: Path) -> None:
    if image.width * image.height > _MAX_IMAGE_PIXELS:
        raise InputError(
            f"the background {path.name} has {image.width}x{image.height} pixels, more than the "
            f"{_MAX_IMAGE_PIXELS} allowed; scale it down"
        )


def _upright(image: Image.Image) -> Image.Image:
    """RGB, turned as its EXIF data says; over black where it is transparent."""
    turned = ImageOps.exif_transpose(image)
    if not turned.has_transparency_data:
        return turned.convert("RGB")
    rgba = turned.convert("RGBA")
    black = Image.new("RGBA", rgba.size, "black")
    return Image.alpha_composite(black, rgba).convert("RGB")


def _endless(
    path: Path, limits: Limits, opener: OpensBackground
) -> Iterator[tuple[float, UInt8Array]]:
    """Time since the very start and picture, of a video that is played again and again."""
    start_s = 0.0
    while True:
        with opener.video(path, limits=limits) as reader:
            info = reader.info
            end_s = start_s
            for chunk in reader.chunks(1):
                time_s = start_s + float((chunk.pts[0] - info.first_pts) * info.time_base)
                # The last frame shows as long as an average one.
                end_s = time_s + float(1 / info.average_fps)
                yield time_s, chunk.src[0]
            start_s = end_s
