"""What a page needs beside its videos: a poster that is transparent, too, and the HTML."""

from pathlib import Path

import numpy as np
from PIL import Image

from rvm_client.encode.edges import bleed_edges
from rvm_client.encode.file import OutputFile
from rvm_client.encode.preview import Preview
from rvm_client.frames import Picture, VideoInfo
from rvm_client.output_types import OutputType
from rvm_client.web_video import WebVideo

_WEBP_QUALITY = 85
# That of WebP.
_LONGEST_SIDE_PIXELS = 16_383


class Poster(Preview):
    """What a player shows before the video begins, as WebP with alpha; a frame as Preview's."""

    def _open(self) -> None:
        """Its name is ours."""

    def _picture(self, kept: Picture) -> Image.Image:
        colour = bleed_edges(kept.fgr, kept.pha)
        return Image.fromarray(np.dstack([colour, kept.pha]))

    def _save(self, image: Image.Image) -> None:
        image.thumbnail((_LONGEST_SIDE_PIXELS, _LONGEST_SIDE_PIXELS))
        image.save(self._partial, "WEBP", quality=_WEBP_QUALITY)


class WebPage(OutputFile):
    """A page that shows the files beside it."""

    def __init__(self, path: Path, output: Path, info: VideoInfo) -> None:
        super().__init__(path)
        self._output = output
        self._info = info

    def _open(self) -> None:
        """There is nothing to write before the end."""

    def _write(self, _picture: Picture) -> None:
        """It shows no frame itself."""

    def _finish(self) -> None:
        kind = OutputType.AUTO_WEB
        names = {role: kind.beside(self._output, role).name for role in kind.facts.roles}
        width = max(1, round(self._info.width_pixels * self._info.sample_aspect_ratio))
        video = WebVideo.beside(names, width, self._info.height_pixels)
        self._partial.write_text(video.page(self._output.stem), encoding="utf-8")

    def _close(self) -> None:
        """It holds nothing open."""
