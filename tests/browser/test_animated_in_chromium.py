"""What a browser finds in animated pictures: frames, times, transparency, an endless loop."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.client.encode.test_planar_frames import person
from tests.client.encode.test_writer import video_info
from tests.support.clip_server import ClipServer

from rvm_client.encode import open_writer
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType

TIMES_MS = [0, 77, 154, 231, 1308, 1385]
KINDS = [kind for kind in OutputType if kind.facts.animation is not None]
# Frames as they are shown: when, and the alpha of a corner and of the person's middle.
_DECODED = """async ([name, type, x, y]) => {
  const data = await (await fetch(name)).arrayBuffer();
  const decoder = new ImageDecoder({data, type});
  await decoder.tracks.ready;
  await decoder.completed;
  const track = decoder.tracks.selectedTrack;
  const frames = [];
  for (let frameIndex = 0; frameIndex < track.frameCount; frameIndex++) {
    const {image} = await decoder.decode({frameIndex});
    const canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const at = (x, y) => Array.from(context.getImageData(x, y, 1, 1).data);
    frames.push({ms: image.timestamp / 1000, outside: at(2, 2), inside: at(x + 4 * frameIndex, y)});
  }
  return {loops: track.repetitionCount === Infinity, frames};
}"""


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, Path]]:
    """A page, and the folder that its server serves."""
    folder = tmp_path_factory.mktemp("animated")
    (folder / "index.html").write_text("<!doctype html>")
    with ClipServer(folder) as server:
        shown = browser.new_page()
        shown.goto(server.url("index.html"))
        yield shown, folder
        shown.close()


@pytest.mark.parametrize("kind", KINDS)
def test_all_frames_are_shown_without_end(page: tuple[Page, Path], kind: OutputType) -> None:
    shown, folder = page
    info = replace(video_info(322, 194), average_fps=Fraction(10), time_base=Fraction(1, 1000))
    chunk = replace(person(6), pts=tuple(TIMES_MS))
    path = folder / f"out{kind.suffix}"
    with open_writer(path, MatteOptions(kind), info) as writer:
        writer.write(chunk)
    found: dict[str, Any] = shown.evaluate(_DECODED, [path.name, kind.facts.content_type, 150, 100])
    assert found["loops"]
    assert [f["ms"] for f in found["frames"]] == pytest.approx(TIMES_MS, abs=5.1)
    for index, frame in enumerate(found["frames"]):
        assert frame["outside"][3] <= 4
        *colour, alpha = frame["inside"]
        assert alpha >= 250
        meant = chunk.fgr[index, 100, 150 + 4 * index].tolist()
        assert colour == pytest.approx(meant, abs=20)
