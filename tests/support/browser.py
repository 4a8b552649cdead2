"""A page in headless Chromium that shows one video over a colour."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page
from tests.support.clip_server import ClipServer
from tests.support.clips import UInt8Array

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A camera and a microphone that are none.
    "--use-fake-device-for-media-stream",
]

_PAGE = """<!doctype html>
<body style="margin: 0"><video muted playsinline style="display: block"></video>
<script>
const video = document.querySelector("video");
let file;

function soon(start) {
  return new Promise((resolve, reject) => {
    setTimeout(() => reject("nothing happened for 30 seconds"), 30000);
    video.addEventListener("error", () => reject(video.error.message), {once: true});
    start(resolve);
  });
}

function happens(name) {
  return soon((resolve) => video.addEventListener(name, resolve, {once: true}));
}

async function load(name) {
  file = await (await fetch(name)).blob();
  const loaded = happens("loadeddata");
  video.src = URL.createObjectURL(file);
  await loaded;
  return {width: video.videoWidth, height: video.videoHeight, duration: video.duration};
}

async function seek(seconds) {
  const done = happens("seeked");
  // A frame of before may be on its way to the screen.
  const shown = soon((resolve) => {
    const look = (_now, {mediaTime}) => mediaTime > seconds - 0.045 && mediaTime < seconds + 0.001
      ? resolve() : video.requestVideoFrameCallback(look);
    video.requestVideoFrameCallback(look);
  });
  video.currentTime = seconds;
  await done;
  await shown;
}

function picture(colour) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(video, 0, 0);
  return canvas.toDataURL("image/png");
}

async function playToEnd() {
  const ended = happens("ended");
  video.currentTime = 0;
  await video.play();
  await ended;
  return {
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    soundBytes: video.webkitAudioDecodedByteCount,
  };
}

async function loudSamples(level) {
  const context = new OfflineAudioContext(1, 1, 48000);
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  const samples = sound.getChannelData(0);
  return Array.from(samples.keys()).filter((i) => Math.abs(samples[i]) > level);
}
</script>
"""


class VideoPage:
    """A served folder's page with a video element; a context manager."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        (folder / "page.html").write_text(_PAGE)
        self.folder = folder
        self._server = ClipServer(folder)
        self._browser = browser

    def __enter__(self) -> "VideoPage":
        self._server.__enter__()
        self._page: Page = self._browser.new_page()
        self._page.goto(self._server.url("page.html"))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._page.close()
        self._server.__exit__(*exc_info)

    def load(self, video: Path) -> dict[str, float]:
        """Show a video of the folder; its width, height and duration."""
        facts: dict[str, float] = self._page.evaluate("name => load(name)", video.name)
        return facts

    def seek(self, seconds: float) -> None:
        """Show the frame of this moment."""
        self._page.evaluate("seconds => seek(seconds)", seconds)

    def on_canvas(self, colour: str) -> UInt8Array:
        """The video drawn on a canvas of one colour, [H,W,3]."""
        url = self._page.evaluate("colour => picture(colour)", colour)
        return _pixels(base64.b64decode(url.split(",", 1)[1]))

    def on_page(self, colour: str) -> UInt8Array:
        """A screenshot of the video over a page of one colour, [H,W,3]."""
        self._page.evaluate("colour => { document.body.style.background = colour }", colour)
        return _pixels(self._page.locator("video").screenshot())

    def play_to_end(self) -> dict[str, int]:
        """Play it all; how many frames were shown and how many bytes of sound decoded."""
        counts: dict[str, int] = self._page.evaluate("() => playToEnd()")
        return counts

    def loud_seconds(self, level: float) -> list[float]:
        """When the sound that the browser decodes is louder than `level` of 1."""
        samples = self._page.evaluate("level => loudSamples(level)", level)
        return [sample / 48_000 for sample in samples]


def _pixels(png: bytes) -> UInt8Array:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
