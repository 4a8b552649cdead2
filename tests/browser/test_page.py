"""The page in a real browser, on a real server with the real model."""

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, Page, Request, expect
from pydantic import SecretStr
from tests.support.clip_server import ClipServer
from tests.support.clips import UInt8Array, read_frames, to_rgb, write_clip
from tests.support.node import installed_packages, node_program
from tests.support.page import VideoTool
from tests.support.web_page import RunningPage, page_options
from tests.support.wire import Wire

from rvm_client.decode import read_rgba_at
from rvm_client.web import PageLimits
from rvm_export.verify.goldens import INT8_CASES

AXE = Path(__file__).parent / "axe"
SIZE = WIDTH, HEIGHT = 256, 144
FRAMES = 24
BEHIND = (0x22, 0x44, 0xCC)
PADDING_BYTES = 3_000_000
CUT_BYTES = 700_000


def near(seen: UInt8Array, expected: npt.ArrayLike, levels: float = 6) -> bool:
    """Whether the median pixel is of that colour."""
    apart = np.abs(seen.astype(np.float64) - np.asarray(expected, np.float64))
    return bool(np.median(apart) <= levels)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person before a wall: a second, small."""
    pictures = [frame[::2, ::2] for frame in INT8_CASES[0].src]
    frames = [np.ascontiguousarray(pictures[index % len(pictures)]) for index in range(FRAMES)]
    path = tmp_path_factory.mktemp("clips") / "person.mp4"
    return write_clip(path, frames, rate=Fraction(30), options={"movflags": "+faststart"})


@pytest.fixture(scope="module")
def large(clip: Path) -> Path:
    """The same with an empty box behind it, so that its upload can be cut in the middle."""
    path = clip.with_name("large.mp4")
    box = (PADDING_BYTES + 8).to_bytes(4, "big") + b"free" + bytes(PADDING_BYTES)
    path.write_bytes(clip.read_bytes() + box)
    return path


@pytest.fixture(scope="module")
def url(triton_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page's address."""
    with RunningPage(page_options(tmp_path_factory.mktemp("state"), triton_url)) as running:
        yield f"{running.url}/"


@pytest.fixture
def tool(browser: Browser, url: str) -> Iterator[VideoTool]:
    """The page in a fresh browser; its scripts make no mistake."""
    with VideoTool(browser, url) as shown:
        yield shown
        assert shown.faults == []


@pytest.fixture(scope="module")
def previewed(browser: Browser, url: str, clip: Path) -> Iterator[VideoTool]:
    """A browser with a clip that was dropped, and its first second."""
    with VideoTool(browser, url) as shown:
        shown.button("Choose a file").wait_for()
        shown.drop(clip)
        shown.await_preview()
        yield shown
        assert shown.faults == []


@pytest.fixture(scope="module")
def finished(previewed: VideoTool) -> VideoTool:
    """The same with a result, for tests that look at it."""
    previewed.page.get_by_label("MP4 over a background").check()
    colour = "#" + "".join(f"{level:02x}" for level in BEHIND)
    previewed.page.get_by_label("Own colour").fill(colour)
    previewed.start()
    previewed.await_result()
    return previewed


def columns(picture: UInt8Array, left: float, right: float) -> UInt8Array:
    """The upper third of the picture, between two fractions of its width."""
    height, width = picture.shape[:2]
    return picture[: height // 3, int(width * left) : int(width * right)]


def part(picture: UInt8Array, top: float, bottom: float, left: float, right: float) -> UInt8Array:
    """What lies between fractions of the picture's height and width."""
    height, width = picture.shape[:2]
    rows, across = (
        slice(int(height * top), int(height * bottom)),
        slice(int(width * left), int(width * right)),
    )
    return picture[rows, across]


def test_a_dropped_clip_shows_its_first_second_before_and_after(
    previewed: VideoTool, clip: Path
) -> None:
    tool = previewed
    source = to_rgb(next(iter(read_frames(clip))))
    split = tool.page.get_by_label("Before and after")
    # The wall at the right is gone, and comes back as the slider passes it.
    shown = tool.picture()
    assert columns(shown, 0.6, 0.9).std() > 20, "a checkerboard"
    split.focus()
    tool.page.keyboard.press("End")
    wall = tool.picture()
    expected = np.median(columns(source, 0.55, 0.7), axis=(0, 1))
    assert near(columns(wall, 0.55, 0.7), expected, 12)
    tool.page.get_by_role("radio", name="Matte", exact=True).check()
    matte = tool.picture()
    tool.page.get_by_role("radio", name="Compare", exact=True).check()
    split.fill("50")
    assert near(columns(matte, 0.6, 0.9), 0)
    assert near(
        matte[matte.shape[0] * 3 // 4 :, matte.shape[1] * 2 // 5 : matte.shape[1] // 2], 255
    )


def test_a_background_is_seen_at_once_and_is_in_the_files(
    finished: VideoTool, tmp_path: Path
) -> None:
    finished.page.get_by_role("radio", name="Result", exact=True).check()
    shown = finished.picture()
    assert near(columns(shown, 0.6, 0.9), BEHIND)
    webm = finished.download("WebM", tmp_path)
    mp4 = finished.download("MP4", tmp_path)
    assert len(list(read_frames(mp4))) == FRAMES
    assert near(columns(to_rgb(next(iter(read_frames(mp4)))), 0.6, 0.9), BEHIND)
    (rgba,) = read_rgba_at(webm, [0.2])
    assert rgba.shape == (HEIGHT, WIDTH, 4)
    assert near(columns(rgba, 0.6, 0.9)[..., 3], 0)
    assert webm.name.startswith("person")


def test_a_video_of_ones_own_stands_behind_the_person(finished: VideoTool, tmp_path: Path) -> None:
    picture = write_clip(tmp_path / "behind.mp4", [np.full((64, 64, 3), 200, np.uint8)] * 4)
    finished.page.get_by_label("Own picture or video").set_input_files(picture)
    finished.page.locator(".backdrop video").wait_for()
    finished.await_pictures(".backdrop video")
    finished.page.get_by_role("radio", name="Result", exact=True).check()
    assert near(columns(finished.picture(), 0.6, 0.9), 200, 8)


def test_keys_step_by_frame_in_both_videos(finished: VideoTool) -> None:
    finished.frame.focus()
    finished.page.keyboard.press("Home")
    for _ in range(3):
        finished.page.keyboard.press(".")
    finished.page.keyboard.press(",")
    expect(finished.page.locator(".said")).to_contain_text(f"3/{FRAMES}")
    finished.await_pictures()
    times = finished.page.locator(".before video, .after video").evaluate_all(
        "videos => videos.map((video) => video.currentTime)"
    )
    assert times == pytest.approx([2.5 / 30] * 2, abs=0.001)


def test_zoom_shows_a_part_larger(finished: VideoTool) -> None:
    finished.page.get_by_role("radio", name="Original", exact=True).check()
    finished.frame.focus()
    whole = finished.picture()
    finished.page.keyboard.press("+")
    larger = finished.picture()
    finished.page.keyboard.press("0")
    height, width = whole.shape[:2]
    part = whole[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4]
    assert np.abs(larger[::2, ::2][: part.shape[0], : part.shape[1]].astype(int) - part).mean() < 8
    assert np.abs(finished.picture().astype(int) - whole).mean() < 1


def test_both_videos_stay_in_step_while_they_play(finished: VideoTool) -> None:
    finished.page.get_by_role("radio", name="Compare", exact=True).check()
    finished.frame.focus()
    finished.page.keyboard.press("Home")
    finished.await_pictures()
    # Slowly, so that they do not begin anew meanwhile; one is left behind, and stopped.
    apart, seconds = finished.page.evaluate(
        """async () => {
          const video = (name) => document.querySelector(`.${name} video`);
          const [before, after] = [video("before"), video("after")];
          const until = async (isSo) => {
            const ends = performance.now() + 5000;
            while (!isSo() && performance.now() < ends) {
              await new Promise((resolve) => setTimeout(resolve, 10));
            }
          };
          document.querySelector(".controls button").click();
          before.playbackRate = after.playbackRate = 0.2;
          await until(() => after.currentTime > 0.4);
          before.pause();
          before.currentTime = after.currentTime - 0.3;
          const apart = () => Math.abs(before.currentTime - after.currentTime);
          await until(() => !before.seeking && !before.paused && apart() < 1 / 60);
          const found = [before.paused ? 1 : apart(), after.currentTime];
          document.querySelector(".controls button").click();
          return found;
        }"""
    )
    assert apart < 1 / 60
    assert seconds > 0.4, "it began anew"


def test_the_job_can_be_copied_as_code(finished: VideoTool) -> None:
    finished.page.locator(".code > summary").click()
    code = finished.page.locator(".code pre")
    expect(code).to_contain_text("rvm-matte")
    finished.page.get_by_role("radio", name="JSON", exact=True).check()
    jobs = json.loads(code.inner_text())
    assert {job["input"]["output_type"] for job in jobs} == {"alpha", "greenscreen"}


def test_an_option_that_does_not_fit_says_so_beside_itself(finished: VideoTool) -> None:
    start = finished.page.get_by_label("From", exact=True)
    end = finished.page.get_by_label("To", exact=True)
    start.fill("0.6")
    end.fill("0.2")
    error = finished.page.locator('[data-option="trim"] .error')
    expect(error).to_contain_text("end_seconds")
    assert start.get_attribute("aria-invalid") == "true"
    start.fill("")
    end.fill("")
    expect(error).to_be_hidden()


def test_a_reload_loses_nothing(finished: VideoTool) -> None:
    finished.page.locator(".outputs summary").click()
    finished.page.get_by_label("PNG pictures").check()
    count = finished.jobs.count() + 1
    finished.start()
    expect(finished.jobs).to_have_count(count)
    finished.page.reload()
    expect(finished.jobs).to_have_count(count)
    finished.await_result()
    expect(finished.page.locator(".card-name")).to_have_text("person.mp4")
    expect(finished.page.get_by_label("PNG pictures")).to_be_checked()
    expect(finished.jobs.first.locator(".file")).to_have_count(3)


def sent_offsets(page: Page) -> list[int]:
    """The offsets of the uploads that the page sends from now on."""
    offsets: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PUT":
            offsets.append(int(request.headers["upload-offset"]))

    page.on("request", note)
    return offsets


def test_an_upload_goes_on_where_its_connection_broke(
    browser: Browser, url: str, large: Path
) -> None:
    with Wire(url, CUT_BYTES) as wire, VideoTool(browser, wire.url) as tool:
        offsets = sent_offsets(tool.page)
        tool.choose(large)
        arrival = tool.page.locator(".arrival")
        expect(arrival).to_contain_text("The connection broke")
        expect(tool.page.locator(".lost")).to_be_visible()
        wire.mend()
        expect(arrival).to_be_hidden()
        expect(tool.page.locator(".lost")).to_be_hidden()
        assert offsets[0] == 0
        assert CUT_BYTES / 2 < offsets[-1] < large.stat().st_size
        assert_whole(tool, large)


def test_an_upload_goes_on_after_a_reload_with_the_same_file(
    browser: Browser, url: str, large: Path, clip: Path
) -> None:
    with Wire(url, CUT_BYTES) as wire, VideoTool(browser, wire.url) as tool:
        tool.choose(large)
        arrival = tool.page.locator(".arrival")
        expect(arrival).to_contain_text("The connection broke")
        # The page is left before it can go on.
        tool.page.goto("about:blank")
        wire.mend()
        tool.page.goto(wire.url)
        expect(arrival).to_contain_text("Choose the same file")
        offsets = sent_offsets(tool.page)
        again = tool.page.get_by_label("Choose the file again")
        again.set_input_files(clip)
        expect(arrival.locator(".error")).to_contain_text("large.mp4")
        again.set_input_files(large)
        expect(arrival).to_be_hidden()
        assert len(offsets) == 1
        assert CUT_BYTES / 2 < offsets[0] < large.stat().st_size
        assert_whole(tool, large)


def assert_whole(tool: VideoTool, file: Path) -> None:
    """The server has all of the file, and can read it."""
    (video,) = tool.json("api/videos").json()["videos"]
    assert video["state"] == "ready"
    assert video["received_bytes"] == file.stat().st_size
    assert tool.faults == []


def test_a_video_is_fetched_from_an_address(tool: VideoTool, clip: Path) -> None:
    address = tool.page.get_by_label("Address of a video")
    address.fill("person.mp4")
    tool.button("Fetch").click()
    expect(tool.page.locator(".add .error")).to_contain_text("https://")
    with ClipServer(clip.parent) as server:
        address.fill(server.url(clip.name))
        tool.page.keyboard.press("Enter")
        expect(tool.page.locator(".card-name")).to_have_text("person.mp4")
        expect(tool.page.locator(".start .button")).to_be_enabled()
    expect(tool.page.locator(".thumb img")).to_be_visible()


def test_a_part_that_is_drawn_in_the_picture_is_cut_out(
    tool: VideoTool, clip: Path, tmp_path: Path
) -> None:
    tool.choose(clip)
    tool.await_preview()
    tool.page.get_by_text("More options").click()
    tool.button("Cut a part out").click()
    box = tool.frame.bounding_box()
    assert box is not None
    left, top = box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"]
    tool.page.mouse.move(left, top)
    tool.page.mouse.down()
    tool.page.mouse.move(left + 0.2 * box["width"], top + 0.2 * box["height"], steps=3)
    tool.page.mouse.move(left + 0.4 * box["width"], top + 0.5 * box["height"])
    tool.page.mouse.up()
    names = ("Left", "Top", "Right", "Bottom")
    edges = [tool.page.get_by_label(name, exact=True) for name in names]
    assert [round(float(edge.input_value())) for edge in edges] == [30, 60, 70, 100]
    # The next drag is the slider's again.
    tool.page.mouse.move(left, top)
    tool.page.mouse.down()
    tool.page.mouse.move(left + 9, top)
    tool.page.mouse.up()
    assert round(float(edges[0].input_value())) == 30
    edges[1].fill("50")
    tool.start()
    tool.await_result()
    (rgba,) = read_rgba_at(tool.download("WebM", tmp_path), [0.2])
    rows, columns_ = (
        slice(int(0.53 * HEIGHT), HEIGHT),
        slice(int(0.32 * WIDTH), int(0.68 * WIDTH)),
    )
    assert rgba[rows, columns_, 3].max() < 8
    assert near(part(rgba, 0.3, 0.45, 0.45, 0.55)[..., 3], 255)
    tool.button("Remove this part").click()
    expect(edges[0]).to_have_count(0)


def test_a_file_that_is_no_video_says_so(tool: VideoTool, tmp_path: Path) -> None:
    bad = tmp_path / "letter.mp4"
    bad.write_bytes(b"Dear reader, this is a letter.\n" * 200)
    tool.choose(bad)
    error = tool.page.locator(".arrival .error")
    expect(error).to_contain_text("letter.mp4")
    expect(tool.page.locator(".start .button")).to_be_disabled()
    tool.button("Delete letter.mp4").click()
    tool.button("Delete").click()
    expect(tool.button("Choose a file")).to_be_visible()
    assert tool.json("api/videos").json() == {"videos": []}


def press_until(page: Page, name: str, *, most: int = 60) -> None:
    """Press Tab until the focus is on what has this name."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.locator("a:focus, button:focus, input:focus, summary:focus")
        if focused.count():
            texts = focused.evaluate("one => [one.ariaLabel, one.textContent].join()")
            if name in texts:
                return
    pytest.fail(f"Tab does not come to {name!r}")


@pytest.fixture(scope="module")
def keyed(browser: Browser, url: str, clip: Path) -> Iterator[VideoTool]:
    """A second browser with a result, made with keys alone."""
    other_clip = clip.with_name("other.mp4")
    other_clip.write_bytes(clip.read_bytes())
    with VideoTool(browser, url) as shown:
        keys = shown.page.keyboard
        # Keys go to the page in front, where another is open, too.
        shown.page.bring_to_front()
        shown.button("Choose a file").wait_for()
        with shown.page.expect_file_chooser() as chooser:
            press_until(shown.page, "Choose a file")
            keys.press("Enter")
        chooser.value.set_files(other_clip)
        shown.await_preview()
        expect(shown.page.locator(".start .button")).to_be_enabled()
        press_until(shown.page, "Remove the background")
        keys.press("Enter")
        shown.await_result()
        yield shown
        assert shown.faults == []


def test_keys_alone_do_everything(keyed: VideoTool) -> None:
    keyed.page.bring_to_front()
    keyed.page.locator("#main").focus()
    press_until(keyed.page, "Before and after")
    keyed.page.keyboard.press("ArrowLeft")
    assert keyed.page.get_by_label("Before and after").input_value() == "49"
    with keyed.page.expect_download():
        press_until(keyed.page, "Download other", most=90)
        keyed.page.keyboard.press("Enter")


def test_two_browsers_work_at_once_and_see_only_their_own(
    keyed: VideoTool, finished: VideoTool
) -> None:
    for one in (keyed, finished):
        count = one.jobs.count()
        one.start()
        expect(one.jobs).to_have_count(count + 1)
    for one in (keyed, finished):
        one.await_result()
    expect(keyed.page.locator(".card-name")).to_have_text(["other.mp4"])
    expect(finished.page.locator(".card-name")).to_have_text(["person.mp4"])
    link = str(finished.jobs.first.locator("a").first.get_attribute("href")).lstrip("/")
    assert finished.json(link).status == 200
    assert keyed.json(link).status == 404


def serious_findings(page: Page, **options: Any) -> list[str]:
    """What axe-core finds on the page, where it is serious or critical."""
    if not page.evaluate("() => 'axe' in window"):
        script = (installed_packages(AXE) / "axe-core" / "axe.min.js").read_text()
        page.evaluate(f"() => {{ {script} }}")
    found = page.evaluate("options => axe.run(document, options)", options)
    assert found["passes"]
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


# In the dark only the colours are others.
SCHEMES: dict[Any, dict[str, Any]] = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_is_for_everybody(finished: VideoTool, tool: VideoTool, scheme: Any) -> None:
    node_program()
    for shown in (tool, finished):
        shown.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    tool.button("Choose a file").wait_for()
    assert serious_findings(tool.page, **SCHEMES[scheme]) == []
    # Everything that can be unfolded, and then the dialog.
    finished.page.evaluate(
        "() => document.querySelectorAll('details').forEach((box) => { box.open = true; })"
    )
    assert serious_findings(finished.page, **SCHEMES[scheme]) == []
    finished.button("Add a video").click()
    assert serious_findings(finished.page, **SCHEMES[scheme]) == []
    finished.page.keyboard.press("Escape")


@pytest.mark.parametrize("width", [390, 1024, 1440])
def test_nothing_stands_out_at_the_side(finished: VideoTool, width: int) -> None:
    finished.page.set_viewport_size({"width": width, "height": 844})
    assert finished.page.evaluate("() => document.documentElement.scrollWidth") == width
    finished.page.set_viewport_size({"width": 1280, "height": 900})


def test_the_camera_records_a_clip(browser: Browser, url: str) -> None:
    with VideoTool(browser, url, permissions=["camera", "microphone"]) as tool:
        tool.button("Use the camera").click()
        expect(tool.button("Record")).to_be_enabled()
        tool.button("Record").click()
        expect(tool.page.locator(".camera [role=status]")).to_contain_text("Recording: 1 of")
        tool.button("Stop").click()
        tool.button("Use this clip").click()
        expect(tool.page.locator(".card-name")).to_have_text(re.compile(r"^camera .*\.(webm|mp4)$"))
        expect(tool.page.locator(".start .button")).to_be_enabled()
        (video,) = tool.json("api/videos").json()["videos"]
        assert video["frames"] is None or video["frames"] > 10
        assert (video["width"], video["has_sound"]) == (1280, True)
        assert tool.faults == []


@pytest.fixture
def guarded(triton_url: str, tmp_path: Path) -> Iterator[str]:
    """The address of a page with a password, which takes small files only."""
    state = tmp_path / "state"
    options = page_options(
        state, triton_url, password=SecretStr("swordfish"), limits=PageLimits(upload_bytes=1000)
    )
    with RunningPage(options) as running:
        yield f"{running.url}/"


def test_behind_the_password_the_page_shows_its_limits_and_keeps_them(
    browser: Browser, guarded: str, clip: Path
) -> None:
    with VideoTool(browser, guarded) as tool:
        tool.page.get_by_label("Password").fill("herring")
        tool.page.keyboard.press("Enter")
        expect(tool.page.locator(".login .error")).to_contain_text("not the password")
        tool.page.get_by_label("Password").fill("swordfish")
        tool.page.keyboard.press("Enter")
        expect(tool.button("Choose a file")).to_be_visible()
        tool.page.reload()
        expect(tool.page.locator(".limits").first).to_contain_text("Up to 1.0 kB")
        tool.choose(clip)
        expect(tool.page.locator(".add .error")).to_contain_text("at most 1.0 kB")
        assert tool.json("api/videos").json() == {"videos": []}
        assert tool.faults == []


def test_where_a_webm_has_no_alpha_the_page_draws_the_picture_itself(
    browser: Browser, url: str, clip: Path
) -> None:
    tool = VideoTool(browser, url)
    # As in a browser that cannot play the transparent WebM that is tried.
    tool.page.route("**/alpha-probe.webm", lambda route: route.abort())
    with tool:
        tool.choose(clip)
        tool.await_preview()
        expect(tool.page.locator(".after stacked-alpha-video")).to_be_visible()
        (video,) = tool.json("api/videos").json()["videos"]
        assert video["preview"]["kind"] == "stacked"
        tool.page.get_by_role("radio", name="Black", exact=True).check()
        tool.page.get_by_role("radio", name="Result", exact=True).check()
        tool.await_drawn()
        shown = tool.picture()
        assert near(columns(shown, 0.6, 0.9), 0)
        source = to_rgb(next(iter(read_frames(clip))))
        chest = np.s_[0.75, 0.95, 0.4, 0.5]
        assert near(part(shown, *chest), np.median(part(source, *chest), axis=(0, 1)), 20)
        tool.page.get_by_role("radio", name="Matte", exact=True).check()
        assert near(part(tool.picture(), *chest), 255)
        assert tool.faults == []
