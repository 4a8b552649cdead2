"""What a web page needs, of one run: two videos, a poster, the HTML."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.client.encode.test_writer import matte_chunk, video_info
from tests.support.clips import alpha_plane, read_frames, read_index, to_rgb
from tests.support.hevc_reader import layer_frames

from rvm_client.encode import open_writer, takes_planes
from rvm_client.errors import OutputError, UsageError
from rvm_client.options import Also, MatteOptions
from rvm_client.output_types import FileRole, OutputType
from rvm_client.web_video import WebVideo

WEB = MatteOptions(OutputType.AUTO_WEB)
NAME = 'a clip & "more"'


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def write(target: Path) -> dict[FileRole, Path]:
    with open_writer(target, WEB, video_info()) as writer:
        writer.write(matte_chunk(9))
    return {
        **writer.files,
        FileRole.HEVC: writer.also[OutputType.ALPHA_HEVC][FileRole.OUTPUT],
    }


def test_all_files_lie_beside_each_other(tmp_path: Path) -> None:
    files = write(tmp_path / f"{NAME}.webm")
    assert {role: path.name for role, path in files.items()} == {
        FileRole.OUTPUT: f"{NAME}.webm",
        FileRole.HEVC: f"{NAME}.mov",
        FileRole.POSTER: f"{NAME}.webp",
        FileRole.PAGE: f"{NAME}.html",
    }
    assert set(tmp_path.iterdir()) == set(files.values())


def test_both_videos_show_the_same_at_the_same_times(tmp_path: Path) -> None:
    files = write(tmp_path / "x.webm")
    webm = list(read_frames(files[FileRole.OUTPUT], decoder="libvpx-vp9"))
    colour = list(read_frames(files[FileRole.HEVC]))
    alpha = layer_frames(files[FileRole.HEVC], 1)
    assert len(webm) == len(colour) == len(alpha) == 9
    for index, (a, b, c) in enumerate(zip(webm, colour, alpha, strict=True)):
        assert read_index(to_rgb(a)) == read_index(to_rgb(b)) == index
        # WebM counts milliseconds.
        assert a.time == pytest.approx(b.time, abs=0.0006)
        rows = np.frombuffer(memoryview(c.planes[0]), np.uint8).reshape(192, -1)[:, :320]
        assert np.abs(alpha_plane(a) - rows).mean() < 1


def test_the_poster_is_transparent_too(tmp_path: Path) -> None:
    chunk = matte_chunk(9)
    with Image.open(write(tmp_path / "x.webm")[FileRole.POSTER]) as poster:
        assert (poster.format, poster.mode, poster.size) == ("WEBP", "RGBA", (320, 192))
        picture = np.asarray(poster)
    index = read_index(picture)
    assert np.abs(picture[..., 3].astype(int) - chunk.pha[index]).mean() < 1


def test_the_page_names_the_files_safari_s_first(tmp_path: Path) -> None:
    page = Elements(write(tmp_path / f"{NAME}.webm")[FileRole.PAGE].read_text())
    (video,) = page.named("video")
    assert video["poster"] == "a%20clip%20%26%20%22more%22.webp"
    assert (video["width"], video["height"]) == ("320", "192")
    assert [(source["src"], source["type"]) for source in page.named("source")] == [
        ("a%20clip%20%26%20%22more%22.mov", "video/quicktime; codecs=hvc1"),
        ("a%20clip%20%26%20%22more%22.webm", "video/webm; codecs=vp9"),
    ]


def test_an_address_cannot_leave_its_attribute() -> None:
    address = 'https://store/x.webm?a=1&b="><script>'
    element = WebVideo(address, address, address, 2, 2).element
    page = Elements(element)
    assert [tag for tag, _ in page.found] == ["video", "source", "source"]
    assert page.named("video")[0]["poster"] == page.named("source")[1]["src"] == address


def test_where_one_cannot_be_written_none_is_left(tmp_path: Path) -> None:
    (tmp_path / "x.html").mkdir()
    with pytest.raises(OutputError, match=r"x\.html is a folder"):
        write(tmp_path / "x.webm")
    assert list(tmp_path.iterdir()) == [tmp_path / "x.html"]


def test_what_does_not_go_with_a_set_is_refused() -> None:
    with pytest.raises(UsageError, match="crf does not go with output_type auto_web"):
        MatteOptions(OutputType.AUTO_WEB, crf=20)
    with pytest.raises(UsageError, match="auto_web is several results"):
        MatteOptions(also=(Also(OutputType.AUTO_WEB, Path("x.webm")),))
    assert not takes_planes(WEB)
