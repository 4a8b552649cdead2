"""What a person does on the page, and sees there."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Response, expect
from tests.support.clips import UInt8Array

WAIT_MS = 60_000
"""For what a machine does that has other tests to run, too."""


class VideoTool:
    """The page in a browser of its own: cookies, storage and all.

    Args:
        browser: what shows it.
        url: of the page.
        context: further arguments of the browser's context.
    """

    def __init__(self, browser: Browser, url: str, **context: object) -> None:
        self.context: BrowserContext = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | context  # type: ignore[arg-type]
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.faults: list[str] = []
        """What the page's scripts did wrong."""
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: self._heard(said.type, said.text))
        self._url = url

    def __enter__(self) -> "VideoTool":
        self.page.goto(self._url)
        return self

    def __exit__(self, *exc_info: object) -> None:
        # What is still being worked on for it is in nobody's way then.
        self.context.request.post(f"{self._url}api/forget", headers={"X-RVM-Page": "1"})
        self.context.close()

    def _heard(self, kind: str, text: str) -> None:
        # The browser says by itself that a request failed: some tests mean it to.
        if kind == "error" and "Failed to load resource" not in text:
            self.faults.append(text)

    def choose(self, clip: Path) -> None:
        """Add a file by the button."""
        self.page.locator(".top").wait_for()
        if not self.button("Choose a file").is_visible():
            self.button("Add a video").click()
        with self.page.expect_file_chooser() as chooser:
            self.button("Choose a file").click()
        chooser.value.set_files(clip)

    def drop(self, clip: Path) -> None:
        """Let a file fall on the page."""
        content = base64.b64encode(clip.read_bytes()).decode()
        self.page.evaluate(
            """([content, name]) => {
              const bytes = Uint8Array.from(atob(content), (byte) => byte.charCodeAt(0));
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File([bytes], name, {type: "video/mp4"}));
              document.body.dispatchEvent(
                new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true}));
            }""",
            [content, clip.name],
        )

    def button(self, name: str) -> Locator:
        """By what it says."""
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def frame(self) -> Locator:
        """Where the video is."""
        return self.page.locator(".frame")

    @property
    def jobs(self) -> Locator:
        """The cards of all jobs of the video, the newest first."""
        return self.page.locator(".job")

    def await_preview(self) -> None:
        """Wait for the first second, before and after."""
        self.page.locator('.frame[data-view="compare"]').wait_for()
        self.await_pictures()

    def await_pictures(self, selector: str = ".before video, .after video") -> None:
        """Wait until these videos have a picture, and none is on its way."""
        states = self.page.evaluate(
            """async (selector) => {
              const videos = [...document.querySelectorAll(selector)];
              const ends = performance.now() + 15000;
              const isReady = (video) => video.readyState >= 2 && !video.seeking;
              while (!videos.every(isReady) && performance.now() < ends) {
                await new Promise((resolve) => setTimeout(resolve, 20));
              }
              return videos.map((video) => [isReady(video), video.readyState, video.networkState]);
            }""",
            selector,
        )
        assert states
        assert all(state[0] for state in states), states

    def await_drawn(self) -> None:
        """Wait until the canvas of a stacked video has a picture."""
        self.page.locator(".after stacked-alpha-video").evaluate(
            """async (element) => {
              const canvas = () => element.shadowRoot.querySelector("canvas");
              while (element.video.readyState < 2 || !canvas()?.width) {
                await new Promise((resolve) => setTimeout(resolve, 20));
              }
            }""",
            timeout=15_000,
        )

    def start(self) -> None:
        """Have the background removed."""
        self.page.locator(".start .button").click()

    def await_result(self) -> None:
        """Wait for the newest job, and for the stage to show it."""
        card = self.page.locator(
            '.job:first-child:not([data-state="queued"], [data-state="working"])'
        )
        card.wait_for()
        expect(card).to_have_attribute("data-state", "done")
        self.await_pictures()

    def picture(self) -> UInt8Array:
        """The pixels of the stage, [H,W,3]."""
        png = self.frame.screenshot(animations="disabled")
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def download(self, label: str, folder: Path) -> Path:
        """The file of the newest job whose label begins so."""
        row = self.jobs.first.locator(".file", has_text=label)
        with self.page.expect_download() as download:
            row.locator("a").click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path

    def json(self, path: str) -> Response:
        """What the server answers this browser."""
        answer: Response = self.context.request.get(f"{self._url}{path}")  # type: ignore[assignment]
        return answer
