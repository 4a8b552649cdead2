"""One picture that stands for the result: the person over a checkerboard, and what is not kept
of the picture in a tint."""

from pathlib import Path

import numpy as np
from PIL import Image

from rvm_client.encode.file import OutputFile
from rvm_client.errors import UsageError
from rvm_client.frames import Picture, VideoInfo
from rvm_client.pixels import Colour, UInt8Array, checkerboard, composite

_IMAGE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_JPEG_QUALITY = 88
# The first frames of a video are often empty or fade in; a third of the way is the rule of thumb.
_MOMENT = 3
_SQUARES_A_ROW = 40
# Of what is not kept.
_TINT: Colour = (255, 0, 60)
_TINT_STRENGTH = 140
# That of libjpeg.
_LONGEST_SIDE_PIXELS = 65_500


def check_preview_path(path: Path) -> None:
    """Refuse a file name that says no picture format we write.

    Raises:
        UsageError: naming the suffixes that do.
    """
    if path.suffix.lower() not in _IMAGE_FORMATS:
        raise UsageError(
            f"the preview {path.name} does not end in {', '.join(_IMAGE_FORMATS)}; rename it"
        )


class Preview(OutputFile):
    """Keeps a frame of those that pass: that at a third of the video; see OutputFile.

    Where the length is not known before, it is the last frame whose number is a power of two.
    """

    def __init__(self, path: Path, info: VideoInfo) -> None:
        super().__init__(path)
        self._info = info
        expected = info.frame_count_from_header
        self._wanted = None if expected is None else expected // _MOMENT
        self._count = 0
        self._kept: Picture | None = None

    def _open(self) -> None:
        check_preview_path(self.path)

    def _write(self, picture: Picture) -> None:
        if self._is_wanted():
            self._kept = picture.kept()
        self._count += 1

    def _is_wanted(self) -> bool:
        if self._kept is None or self._count == self._wanted:
            return True
        return self._wanted is None and self._count & (self._count - 1) == 0

    def _finish(self) -> None:
        if self._kept is None:
            return
        image = self._picture(self._kept)
        # Pictures have square pixels.
        shown_width = max(1, round(image.width * self._info.sample_aspect_ratio))
        if shown_width != image.width:
            image = image.resize((shown_width, image.height), Image.Resampling.LANCZOS)
        self._save(image)

    def _picture(self, kept: Picture) -> Image.Image:
        height, width = kept.pha.shape
        board = checkerboard(height, width, max(4, width // _SQUARES_A_ROW))
        if kept.dropped is not None:
            board = _tinted(kept.fgr, kept.dropped, board)
        return Image.fromarray(composite(kept.fgr, kept.pha, board))

    def _save(self, image: Image.Image) -> None:
        image.thumbnail((_LONGEST_SIDE_PIXELS, _LONGEST_SIDE_PIXELS))
        format_ = _IMAGE_FORMATS[self.path.suffix.lower()]
        image.save(self._partial, format_, quality=_JPEG_QUALITY)

    def _close(self) -> None:
        self._kept = None


def _tinted(fgr: UInt8Array, dropped: UInt8Array, board: UInt8Array) -> UInt8Array:
    """The board with what was dropped on it."""
    strength = np.full(dropped.shape, 255 - _TINT_STRENGTH, np.uint8)
    return composite(composite(fgr, strength, _TINT), dropped, board)
