"""A page in headless Chromium that shows one <stacked-alpha-video> over a colour."""

import io
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page
from tests.support.clip_server import ClipServer
from tests.support.clips import UInt8Array
from tests.support.http_faults import Request, Response

import rvm_client

COMPONENT = Path(rvm_client.__file__).parent / "web" / "static" / "stacked-alpha-video.js"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self'"

_PAGE = """<!doctype html>
<link rel="stylesheet" href="page.css">
<script type="module" src="stacked-alpha-video.js"></script>
<stacked-alpha-video muted playsinline></stacked-alpha-video>
"""
_CSS = "body { margin: 0 } body.red { background: #f00 } body.blue { background: #00f }"

# What such a policy forbids the page to bring along, the test does from outside.
_LOAD = """name => new Promise((resolve, reject) => {
  const video = shown().video;
  setTimeout(() => reject("nothing happened for 20 seconds"), 20000);
  video.addEventListener("error", () => reject(video.error?.message), {once: true});
  video.addEventListener("loadeddata", () => resolve(
    {width: video.videoWidth, height: video.videoHeight, duration: video.duration}), {once: true});
  shown().setAttribute("src", name);
})"""
_SEEK = """seconds => new Promise((resolve, reject) => {
  const video = shown().video;
  setTimeout(() => reject("nothing happened for 20 seconds"), 20000);
  let missing = 2;
  const one = () => { if (--missing === 0) requestAnimationFrame(() => resolve()); };
  video.addEventListener("seeked", one, {once: true});
  video.requestVideoFrameCallback(one);
  video.currentTime = seconds;
})"""
_HELPERS = "window.shown = () => document.querySelector('stacked-alpha-video');"


class _StrictServer(ClipServer):
    """Serves a folder under a strict Content Security Policy, and parts of files for seeking."""

    def answer(self, request: Request) -> Response:
        """See ClipServer."""
        found = super().answer(request)
        headers = {**found.headers, "Content-Security-Policy": POLICY, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if asked is None or found.status != 200:
            return Response(found.status, found.body, headers)
        whole = len(found.body)
        first, last = int(asked[1]), min(int(asked[2] or whole), whole - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{whole}"
        return Response(206, found.body[first : last + 1], headers)


class StackedPage:
    """A page with the component, served from a folder; a context manager.

    The folder may have an `index.html` of its own.
    """

    def __init__(self, browser: Browser, folder: Path) -> None:
        if not (folder / "index.html").exists():
            (folder / "index.html").write_text(_PAGE)
            (folder / "page.css").write_text(_CSS)
        shutil.copy(COMPONENT, folder)
        self.folder = folder
        self.complaints: list[str] = []
        """What the browser logged: errors, and what the policy forbade."""
        self._server = _StrictServer(folder)
        self._browser = browser

    def __enter__(self) -> "StackedPage":
        self._server.__enter__()
        self._page: Page = self._browser.new_page(viewport={"width": 800, "height": 600})
        self._page.add_init_script(_HELPERS)
        self._page.on("console", lambda message: self._note(message.type, message.text))
        self._page.on("pageerror", lambda error: self._note("error", str(error)))
        self._page.goto(self._server.url("index.html"))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._page.close()
        self._server.__exit__(*exc_info)

    def _note(self, kind: str, text: str) -> None:
        # The browser asks for an icon by itself.
        if kind == "error" and "404" not in text:
            self.complaints.append(text)

    def load(self, video: Path) -> dict[str, float]:
        """Show a video of the folder; the file's width, height and duration."""
        facts: dict[str, float] = self._page.evaluate(_LOAD, video.name)
        return facts

    def seek(self, seconds: float) -> None:
        """Show the frame of this moment."""
        self._page.evaluate(_SEEK, seconds)

    def evaluate(self, script: str, given: object = None) -> Any:
        """What a script gives; `shown()` in it is the component."""
        return self._page.evaluate(script, given)

    def on_page(self, colour: str) -> UInt8Array:
        """A screenshot of the component over a page of one colour, [H,W,3]."""
        self._page.evaluate("colour => { document.body.className = colour }", colour)
        png = self._page.locator("stacked-alpha-video").screenshot()
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
