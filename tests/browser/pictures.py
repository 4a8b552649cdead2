"""Make the pictures of docs/page again, from a page that runs.

rvm-web --port 7860 &
python -m tests.browser.pictures http://127.0.0.1:7860/ docs/page
"""

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from tests.support.browser import CHROMIUM, CHROMIUM_FLAGS
from tests.support.clips import UInt8Array, write_clip
from tests.support.page import VideoTool

from rvm_export.verify.goldens import INT8_CASES

SIZE = WIDTH, HEIGHT = 960, 540
FRAMES = 60
WINDOWS = {1440: 900, 1024: 768, 390: 844}
SCHEMES = ("light", "dark")


def main() -> None:
    """Write all pictures into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of a page that runs")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as temporary:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_FLAGS)
        clip = write_clip(Path(temporary, "astronaut.mp4"), panned_portrait(), rate=Fraction(30))
        sky = Path(temporary, "evening.jpg")
        Image.fromarray(evening()).save(sky, quality=92)
        take_all(browser, arguments.url, clip, sky, arguments.folder)
        browser.close()


def panned_portrait() -> list[UInt8Array]:
    """A person before a wall; the camera comes a little nearer and goes back."""
    picture = Image.fromarray(INT8_CASES[0].src[0])
    frames = []
    for index in range(FRAMES):
        nearer = 1 + 0.06 * np.sin(np.pi * index / FRAMES)
        width, height = 480 / nearer, 270 / nearer
        left, top = (480 - width) / 2, 9 + (270 - height) / 2
        box = (left, top, left + width, top + height)
        frames.append(np.asarray(picture.resize(SIZE, Image.Resampling.LANCZOS, box=box)))
    return frames


def evening() -> UInt8Array:
    """A soft sky, [H,W,3]."""
    top, bottom = np.array((38, 52, 98)), np.array((246, 178, 138))
    share = np.linspace(0, 1, HEIGHT)[:, np.newaxis, np.newaxis] ** 1.4
    column = top * (1 - share) + bottom * share
    sky: UInt8Array = np.tile(column.astype(np.uint8), (1, WIDTH, 1))
    return sky


def take_all(browser: Browser, url: str, clip: Path, sky: Path, folder: Path) -> None:
    """One session for all: the page alone, then with a result, at all widths."""
    with VideoTool(browser, url) as tool:
        tool.button("Choose a file").wait_for()
        take(tool, folder, "start")
        tool.choose(clip)
        tool.await_preview()
        tool.page.get_by_label("MP4 over a background").check()
        tool.start()
        tool.await_result()
        tool.frame.focus()
        for _ in range(20):
            tool.page.keyboard.press(".")
        for scheme in SCHEMES:
            if scheme == "dark":
                tool.page.get_by_label("Own picture or video").set_input_files(sky)
            tool.await_pictures()
            take(tool, folder, "result", (scheme,))


def take(tool: VideoTool, folder: Path, name: str, schemes: Any = SCHEMES) -> None:
    """The window at each width."""
    for width, height in WINDOWS.items():
        tool.page.set_viewport_size({"width": width, "height": height})
        for scheme in schemes:
            tool.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            tool.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
            tool.page.wait_for_timeout(500)
            tool.page.screenshot(
                path=folder / f"{name}-{width}-{scheme}.jpg", type="jpeg", quality=78
            )


if __name__ == "__main__":
    main()
