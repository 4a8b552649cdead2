"""What the component makes of alpha_stacked files in a browser: pictures, edges, its manners."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser
from tests.client.encode.test_writer import video_info
from tests.support.clips import index_frame, read_index, write_clip
from tests.support.stacked_page import StackedPage

from rvm_client.encode import open_writer
from rvm_client.frames import MatteChunk
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import UInt8Array

# No multiple of 8: the seam runs through the codec's blocks.
EXAMPLE = Path(__file__).parents[2] / "examples" / "stacked"
SIZE = WIDTH, HEIGHT = 320, 196
FRAMES = 30
FRAME_SECONDS = 1001 / 30_000
SKIN = (210, 150, 110)
PAGES = {"red": (255, 0, 0), "blue": (0, 0, 255)}

# Rows below the index, and columns: as the alpha is.
ROWS = slice(72, HEIGHT)
TRANSPARENT, EDGE, OPAQUE = slice(8, 88), slice(112, 208), slice(232, 312)


def synthetic_alpha() -> UInt8Array:
    """0 at the left, a soft edge, 255 at the right; opaque where the index is drawn."""
    ramp = np.clip(np.linspace(-255, 510, WIDTH), 0, 255).astype(np.uint8)
    alpha = np.tile(ramp, (HEIGHT, 1))
    alpha[:64] = 255
    return alpha


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackedPage]:
    with StackedPage(browser, tmp_path_factory.mktemp("stacked")) as shown:
        yield shown


@pytest.fixture(scope="module")
def synthetic(page: StackedPage) -> Path:
    """A second of one colour with a soft edge, and an index."""
    target = page.folder / "synthetic.mp4"
    options, alpha = MatteOptions(OutputType.ALPHA_STACKED), synthetic_alpha()[np.newaxis]
    with open_writer(target, options, video_info(*SIZE)) as writer:
        for index in range(FRAMES):
            fgr = index_frame(index, *SIZE)
            fgr[32:] = SKIN
            writer.write(MatteChunk(fgr[np.newaxis], alpha, (1001 * index,)))
    return target


def over(
    colour: npt.ArrayLike, alpha: npt.ArrayLike, behind: tuple[int, int, int]
) -> npt.NDArray[np.float64]:
    """Straight alpha: colour x alpha + page x (1 - alpha)."""
    share = np.asarray(alpha, np.float64)[..., np.newaxis] / 255
    mixed: npt.NDArray[np.float64] = np.asarray(colour) * share + np.array(behind) * (1 - share)
    return mixed


def levels_apart(seen: npt.ArrayLike, expected: npt.ArrayLike) -> npt.NDArray[np.float64]:
    difference: npt.NDArray[np.float64] = np.abs(
        np.asarray(seen, np.float64) - np.asarray(expected, np.float64)
    )
    return difference


@pytest.mark.parametrize("colour", PAGES)
def test_the_page_shows_through_and_the_edge_mixes_with_it(
    page: StackedPage, synthetic: Path, colour: str
) -> None:
    facts = page.load(synthetic)
    assert (facts["width"], facts["height"]) == (WIDTH, 2 * HEIGHT)
    page.seek(0.5)
    seen = page.on_page(colour)
    assert seen.shape == (HEIGHT, WIDTH, 3)
    # To the last row: neither colour nor alpha runs over the seam.
    assert levels_apart(seen[ROWS, TRANSPARENT], PAGES[colour]).max() <= 1
    assert levels_apart(seen[ROWS, OPAQUE], SKIN).max() <= 4
    expected = over(SKIN, synthetic_alpha()[ROWS, EDGE], PAGES[colour])
    assert levels_apart(seen[ROWS, EDGE], expected).max() <= 8
    assert levels_apart(seen[ROWS, EDGE], expected).mean() < 2
    assert page.complaints == []


def test_what_lies_at_the_seam_is_not_seen(page: StackedPage) -> None:
    """There a decoder may mix colour and alpha: white in the last row of grey, and in the first of
    black."""
    picture: UInt8Array = np.zeros((2 * HEIGHT, WIDTH, 3), np.uint8)
    picture[:HEIGHT, :] = (120, 120, 120)
    picture[HEIGHT + HEIGHT // 2 :] = 255
    picture[HEIGHT - 1 : HEIGHT + 1] = 255
    path = write_clip(page.folder / "seam.mp4", [picture] * 3, options={"crf": "1"})
    page.load(path)
    page.seek(0.05)
    seen = page.on_page("blue")
    assert levels_apart(seen[:4], PAGES["blue"]).max() <= 2
    assert levels_apart(seen[-4:], (120, 120, 120)).max() <= 8


def test_the_page_says_how_large_it_is(page: StackedPage, synthetic: Path) -> None:
    page.load(synthetic)
    page.seek(0.5)
    sizes = page.evaluate(
        """() => {
          const sizes = [];
          for (const [width, height] of [["160px", ""], ["", "98px"], ["400px", "300px"]]) {
            Object.assign(shown().style, {width, height});
            const {width: w, height: h} = shown().getBoundingClientRect();
            sizes.push([w, h]);
          }
          Object.assign(shown().style, {width: "", height: ""});
          return sizes;
        }"""
    )
    assert sizes == [[160, 98], [160, 98], [400, 300]]


@pytest.mark.parametrize("shape", [Fraction(4, 3), Fraction(3, 4)])
def test_pixels_that_are_not_square(page: StackedPage, shape: Fraction) -> None:
    path = page.folder / f"wide{shape.numerator}.mp4"
    info = replace(video_info(*SIZE), sample_aspect_ratio=shape)
    fgr: UInt8Array = np.full((1, HEIGHT, WIDTH, 3), SKIN, np.uint8)
    with open_writer(path, MatteOptions(OutputType.ALPHA_STACKED), info) as writer:
        for index in range(3):
            writer.write(MatteChunk(fgr, synthetic_alpha()[np.newaxis], (1001 * index,)))
    page.load(path)
    page.seek(0.05)
    seen = page.on_page("blue")
    height, width = seen.shape[:2]
    # Below a height that is no whole number there is half a row of the page.
    assert Fraction(width, height) == pytest.approx(Fraction(WIDTH, HEIGHT) * shape, rel=0.01)
    assert levels_apart(seen[height // 2 : -1, : width // 4], PAGES["blue"]).max() <= 1
    assert levels_apart(seen[height // 2 : -1, -width // 4 :], SKIN).max() <= 4


@pytest.mark.parametrize("index", [0, 1, 14, 29, 7])
def test_seeking_shows_the_frame_of_that_time(
    page: StackedPage, synthetic: Path, index: int
) -> None:
    page.load(synthetic)
    page.seek((index + 0.5) * FRAME_SECONDS)
    assert read_index(page.on_page("red")) == index


def test_it_draws_again_after_its_context_was_lost(page: StackedPage, synthetic: Path) -> None:
    page.load(synthetic)
    page.seek(10.5 * FRAME_SECONDS)
    page.evaluate(
        """() => new Promise((resolve) => {
          const canvas = shown().shadowRoot.querySelector("canvas");
          const gl = canvas.getContext("webgl");
          const taken = gl.getExtension("WEBGL_lose_context");
          canvas.addEventListener("webglcontextrestored", () => setTimeout(resolve, 50));
          const restore = () => setTimeout(() => taken.restoreContext());
          canvas.addEventListener("webglcontextlost", restore);
          taken.loseContext();
        })"""
    )
    seen = page.on_page("red")
    assert read_index(seen) == 10
    assert levels_apart(seen[ROWS, TRANSPARENT], PAGES["red"]).max() == 0


def test_it_plays_by_itself_while_it_is_seen_and_loops(page: StackedPage, synthetic: Path) -> None:
    page.load(synthetic)
    seconds = page.evaluate(
        """async () => {
          const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
          const video = shown().video;
          const until = async (what) => { while (!what()) await wait(10); };
          shown().setAttribute("loop", "");
          shown().setAttribute("autoplay", "");
          await until(() => video.currentTime > 0.8);
          await until(() => video.currentTime < 0.5);
          shown().hidden = true;
          await until(() => video.paused);
          const rested = video.currentTime;
          await wait(200);
          const still = video.currentTime;
          shown().hidden = false;
          await until(() => video.currentTime !== rested);
          for (const name of ["loop", "autoplay"]) shown().removeAttribute(name);
          video.pause();
          return [rested, still];
        }"""
    )
    assert seconds[0] == seconds[1]


def test_moved_to_another_place_it_goes_on(page: StackedPage, synthetic: Path) -> None:
    page.load(synthetic)
    page.seek(20.5 * FRAME_SECONDS)
    page.evaluate(
        """() => new Promise((resolve) => {
          const moved = shown();
          moved.remove();
          document.body.append(moved);
          setTimeout(resolve, 100);
        })"""
    )
    assert read_index(page.on_page("blue")) == 20


def test_the_example_s_page_plays(browser: Browser, synthetic: Path, tmp_path: Path) -> None:
    for path in EXAMPLE.iterdir():
        shutil.copy(path, tmp_path)
    shutil.copy(synthetic, tmp_path / "person.mp4")
    with StackedPage(browser, tmp_path) as page:
        page.evaluate(
            """async () => {
              while (!(shown().video.currentTime > 0.1)) {
                await new Promise((resolve) => setTimeout(resolve, 20));
              }
            }"""
        )
        seen = page.on_page("")
        colours = {tuple(pixel) for pixel in seen[-40:-10, 20:80].reshape(-1, 3).tolist()}
        # The two stripes of the page's background, and what lies between them.
        assert {(17, 51, 102), (34, 68, 136)} <= colours
        assert levels_apart(seen[-40:-10, -60:-20], SKIN).max() <= 4
        assert page.complaints == []


def test_without_webgl_it_says_so(page: StackedPage) -> None:
    said = page.evaluate(
        """() => {
          const own = HTMLCanvasElement.prototype.getContext;
          HTMLCanvasElement.prototype.getContext = () => null;
          const other = document.createElement("stacked-alpha-video");
          document.body.append(other);
          HTMLCanvasElement.prototype.getContext = own;
          const text = other.shadowRoot.querySelector("p").textContent;
          other.remove();
          return text;
        }"""
    )
    assert said == "This browser cannot show the transparent video: it has no WebGL."
