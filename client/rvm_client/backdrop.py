"""Opens what is put behind the person: a colour, an image file or a video file."""

import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from rvm_client.decode import VideoReader
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


@contextmanager
def open_backdrop(
    background: Colour | Path, info: VideoInfo, limits: Limits | None = None
) -> Iterator[Backdrop]:
    """The backdrop of a colour, or of an image or video file, for frames as `info` says.

    `limits` hold for a background video as for any source; None: the usual ones.

    Raises:
        InputError: the file is neither an image nor a video that can be read.
    """
    limits = limits or Limits()
    width, height = info.width_pixels, info.height_pixels
    if isinstance(background, tuple):
        yield ColourBackdrop(background)
        return
    picture = _read_image(background, max(width, height))
    if picture is not None:
        stretch = float(1 / info.sample_aspect_ratio)
        yield PictureBackdrop(cover(picture, width, height, stretch))
        return
    with VideoReader(background, limits=limits) as reader:
        stretch = float(reader.info.sample_aspect_ratio / info.sample_aspect_ratio)
    with Prefetch(_endless(background, limits), depth=_QUEUE_DEPTH, name="backdrop") as pictures:
        yield VideoBackdrop(pictures, width, height, stretch)


def _read_image(path: Path, longest_side_pixels: int) -> UInt8Array | None:
    """The image as [H,W,3], upright, not much larger than needed; None if the file is no image.

    `longest_side_pixels` is that of the frame it is to cover.
    """
    needed_pixels = 2 * longest_side_pixels
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


def _endless(path: Path, limits: Limits) -> Iterator[tuple[float, UInt8Array]]:
    """Time since the very start and picture, of a video that is played again and again."""
    start_s = 0.0
    while True:
        end_s = start_s
        for count, (time_s, duration_s, picture) in enumerate(_once(path, limits), start=1):
            _check_rate(path, count, time_s)
            end_s = start_s + time_s + duration_s
            yield start_s + time_s, picture
        if count == 1 or end_s - start_s < _SHORTEST_LOOP_SECONDS:
            yield math.inf, picture
            return
        start_s = end_s


def _once(path: Path, limits: Limits) -> Iterator[tuple[float, float, UInt8Array]]:
    """Time since its start, average duration, and picture, of a video."""
    with VideoReader(path, limits=limits) as reader:
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
