"""The page of `auto_web` in a browser that is not Safari."""

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from tests.client.encode.test_writer import matte_chunk, video_info
from tests.support.clip_server import ClipServer

from rvm_client.encode import open_writer
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    options = MatteOptions(OutputType.AUTO_WEB)
    with open_writer(folder / "clip.webm", options, video_info()) as writer:
        writer.write(matte_chunk(9))
    with ClipServer(folder) as server:
        shown = browser.new_page()
        shown.goto(server.url("clip.html"))
        shown.wait_for_function("document.querySelector('video').readyState >= 1")
        yield shown
        shown.close()


def test_it_passes_over_what_is_meant_for_safari(page: Page) -> None:
    """Also where it knows HEVC: it has no type of that name."""
    source = page.evaluate("document.querySelector('video').currentSrc")
    assert source.endswith("/clip.webm")
    for kind in ("video/quicktime; codecs=hvc1", "video/quicktime"):
        assert (
            page.evaluate("kind => document.createElement('video').canPlayType(kind)", kind) == ""
        )
    assert page.evaluate("document.querySelector('video').error") is None


def test_the_poster_is_there(page: Page) -> None:
    size = page.evaluate(
        """async () => {
          const image = new Image();
          image.src = document.querySelector('video').poster;
          await image.decode();
          return [image.naturalWidth, image.naturalHeight];
        }"""
    )
    assert size == [320, 192]
    box = page.locator("video").bounding_box()
    assert box is not None
    assert np.allclose((box["width"], box["height"]), (320, 192))
