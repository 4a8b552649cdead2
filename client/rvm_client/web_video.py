"""The HTML of a transparent video: a `<video>` element with a source for each browser."""

import html
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from rvm_client.output_types import FileRole

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
  body {{ background: repeating-conic-gradient(#ccc 0 25%, #fff 0 50%) 0 / 32px 32px; }}
  video {{ max-width: 100%; height: auto; }}
</style>
<!-- Copy what follows into a page of yours. -->
{element}
</html>
"""


@dataclass(frozen=True)
class WebVideo:
    """Where the files of one video are, by URLs or by names beside the page."""

    webm: str
    hevc: str
    poster: str
    width_pixels: int
    height_pixels: int

    @classmethod
    def beside(
        cls, names: Mapping[FileRole, str], width_pixels: int, height_pixels: int
    ) -> "WebVideo":
        """The files by their names, which lie beside the page."""
        roles = (FileRole.OUTPUT, FileRole.HEVC, FileRole.POSTER)
        webm, hevc, poster = (urllib.parse.quote(names[role]) for role in roles)
        return cls(webm, hevc, poster, width_pixels, height_pixels)

    @property
    def element(self) -> str:
        """The `<video>` element.

        A browser takes the first source whose type it plays. HEVC is first, because Safari plays
        WebM, too, but shows it opaque. It is called QuickTime, which it is, because Chrome, Edge
        and Firefox take nothing of that name: some of them play HEVC, and show it opaque on most
        systems.
        """
        hevc, webm, poster = (html.escape(url) for url in (self.hevc, self.webm, self.poster))
        return (
            f'<video width="{self.width_pixels}" height="{self.height_pixels}" poster="{poster}" '
            "controls playsinline>\n"
            f'  <source src="{hevc}" type="video/quicktime; codecs=hvc1">\n'
            f'  <source src="{webm}" type="video/webm; codecs=vp9">\n'
            "</video>"
        )

    def page(self, title: str) -> str:
        """A page that shows it over a checkerboard."""
        return _PAGE.format(title=html.escape(title), element=self.element)
