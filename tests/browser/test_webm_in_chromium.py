"""What a browser makes of the WebM files: pictures, transparency, times, sound."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser
from tests.support.browser import VideoPage
from tests.support.clips import index_frame, read_frames, read_index, to_rgb, write_clip
from tests.support.sound import Track, write_sound_clip

from rvm_client.decode import VideoReader, read_rgba_at
from rvm_client.encode import open_writer
from rvm_client.frames import MatteChunk
from rvm_client.matte import MattingModel
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline import matte_video
from rvm_client.pixels import UInt8Array
from rvm_client.sound import SoundTrack
from rvm_export.verify.goldens import INT8_CASES

SIZE = WIDTH, HEIGHT = 320, 192
FRAME_SECONDS = 1 / 30
FLASHES = (0.5, 1.5)
SKIN = (210, 150, 110)
PAGES = {"red": (255, 0, 0), "blue": (0, 0, 255)}
WAYS = ["on_canvas", "on_page"]

# The parts of the synthetic picture: rows below the index and the flash, then columns.
PICTURE_ROWS = slice(72, 184)
TRANSPARENT, EDGE, OPAQUE = slice(8, 88), slice(112, 208), slice(232, 312)


def synthetic_alpha() -> UInt8Array:
    """0 at the left, a soft edge, 255 at the right; opaque where the index is drawn."""
    ramp = np.clip(np.linspace(-255, 510, WIDTH), 0, 255).astype(np.uint8)
    alpha = np.tile(ramp, (HEIGHT, 1))
    alpha[:64] = 255
    return alpha


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VideoPage]:
    with VideoPage(browser, tmp_path_factory.mktemp("page")) as shown:
        yield shown


@pytest.fixture(scope="module")
def folder(page: VideoPage) -> Path:
    """What the page's server serves."""
    return page.folder


@pytest.fixture(scope="module")
def synthetic(folder: Path) -> Path:
    """Two seconds of one colour with a soft edge, an index, two flashes and two clicks."""
    source = write_sound_clip(folder / "synthetic.mp4", [Track()], size=SIZE)
    target = folder / "synthetic.webm"
    alpha = synthetic_alpha()[np.newaxis]
    track = SoundTrack.open(source, "webm", warn=pytest.fail)
    assert track is not None
    with VideoReader(source) as reader, track:
        options = MatteOptions(OutputType.ALPHA)
        with open_writer(target, options, reader.info, sound=track) as writer:
            for chunk in reader.chunks(1):
                seconds = float(chunk.pts[0] * reader.info.time_base)
                fgr = index_frame(round(seconds * 30), *SIZE)
                fgr[32:64] = 255 if any(abs(seconds - f) < 0.001 for f in FLASHES) else 0
                fgr[64:] = SKIN
                writer.write(MatteChunk(fgr[np.newaxis], alpha, chunk.pts))
    return target


@pytest.fixture(scope="module")
def portrait(folder: Path, triton_url: str) -> tuple[Path, Path]:
    """A person, as the source and as the real model's result."""
    frames = [*INT8_CASES[0].src, *INT8_CASES[0].src[::-1]] * 2
    source = write_clip(folder / "portrait.mp4", frames, rate=Fraction(30))
    target = folder / "portrait.webm"
    with MattingModel(triton_url) as model:
        matte_video(source, target, model, MatteOptions(OutputType.ALPHA))
    return source, target


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


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("colour", PAGES)
def test_the_page_shows_through_and_the_person_keeps_its_colour(
    page: VideoPage, synthetic: Path, colour: str, way: str
) -> None:
    facts = page.load(synthetic)
    assert facts["width"] == WIDTH
    assert facts["height"] == HEIGHT
    assert facts["duration"] == pytest.approx(2.0, abs=FRAME_SECONDS)
    page.seek(1.0)
    seen = getattr(page, way)(colour)
    assert levels_apart(seen[PICTURE_ROWS, TRANSPARENT], PAGES[colour]).max() <= 2
    assert levels_apart(seen[PICTURE_ROWS, OPAQUE], SKIN).max() <= 8


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("colour", PAGES)
def test_a_soft_edge_mixes_the_person_with_the_page(
    page: VideoPage, synthetic: Path, colour: str, way: str
) -> None:
    page.load(synthetic)
    page.seek(1.0)
    seen = getattr(page, way)(colour)[PICTURE_ROWS, EDGE]
    expected = over(SKIN, synthetic_alpha()[PICTURE_ROWS, EDGE], PAGES[colour])
    assert levels_apart(seen, expected).mean() < 4
    assert levels_apart(seen.mean(axis=0), expected.mean(axis=0)).max() < 10


@pytest.mark.parametrize("index", [0, 1, 29, 30, 44, 59, 7])
def test_seeking_shows_the_frame_of_that_time(page: VideoPage, synthetic: Path, index: int) -> None:
    page.load(synthetic)
    page.seek((index + 0.5) * FRAME_SECONDS)
    assert read_index(page.on_canvas("red")) == index
    assert read_index(page.on_page("blue")) == index


def test_the_clicks_of_the_sound_are_where_the_picture_flashes(
    page: VideoPage, synthetic: Path
) -> None:
    """The browser counts its samples from the first one, which is at time 0 in this file."""
    page.load(synthetic)
    loud = np.array(page.loud_seconds(0.3))
    for flash in FLASHES:
        click = loud[loud > flash - 0.25][0]
        assert click == pytest.approx(flash, abs=FRAME_SECONDS / 2)
        page.seek(click + FRAME_SECONDS / 2)
        assert page.on_canvas("red")[48].mean() > 200
        page.seek(click - FRAME_SECONDS / 2)
        assert page.on_canvas("red")[48].mean() < 50


def test_it_plays_to_the_end_with_its_sound(page: VideoPage, synthetic: Path) -> None:
    page.load(synthetic)
    counts = page.play_to_end()
    assert counts["frames"] > 0
    assert counts["soundBytes"] > 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("colour", PAGES)
def test_a_real_person_stands_before_the_page(
    page: VideoPage, portrait: tuple[Path, Path], colour: str, way: str
) -> None:
    source, target = portrait
    page.load(target)
    moment_s = 8.5 / 30
    page.seek(moment_s)
    seen = getattr(page, way)(colour)
    height, width = seen.shape[:2]
    background = seen[: height // 4, -width // 6 :]
    assert np.median(levels_apart(background, PAGES[colour])) <= 3
    shown = to_rgb(list(read_frames(source))[8])
    chest = np.s_[height * 3 // 4 : height - 8, width * 2 // 5 : width // 2]
    assert levels_apart(seen[chest], shown[chest]).mean() < 6


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("colour", PAGES)
def test_the_browser_composites_what_the_file_holds(
    page: VideoPage, portrait: tuple[Path, Path], colour: str, way: str
) -> None:
    _, target = portrait
    page.load(target)
    page.seek(8.5 / 30)
    (rgba,) = read_rgba_at(target, [8.5 / 30])
    expected = over(rgba[..., :3], rgba[..., 3], PAGES[colour])
    apart = levels_apart(getattr(page, way)(colour), expected)
    edge = (rgba[..., 3] > 16) & (rgba[..., 3] < 240)
    assert edge.sum() > 500
    assert apart.mean() < 2
    assert apart[edge].mean() < 6
