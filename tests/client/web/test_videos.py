"""Sources: what is found out about them, what browsers get to see, and when they go."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image
from tests.support.clip_server import ClipServer
from tests.support.clips import index_frame, read_frames, read_index, to_rgb, write_clip
from tests.support.sound import Track, click_times, write_sound_clip
from tests.support.web_page import WITHIN_S, RunningPage, Visitor, page_options

from rvm_client.web.sources import PREVIEW_WIDTH_PIXELS


def indices(content: bytes) -> list[int]:
    """Those of the frames of a video."""
    with av.open(io.BytesIO(content), "r") as container:
        return [read_index(to_rgb(frame)) for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def mine(page: RunningPage, clip: bytes) -> tuple[Visitor, dict[str, Any]]:
    """Somebody with a video."""
    visitor = page.visitor()
    return visitor, visitor.looked_at(clip, "holiday.mp4")


def test_what_is_known_of_a_video(mine: tuple[Visitor, dict[str, Any]]) -> None:
    visitor, video = mine
    assert video["name"] == "holiday.mp4"
    assert (video["width"], video["height"]) == (320, 192)
    assert (video["fps"], video["frames"]) == (30, 40)
    assert video["duration_seconds"] == pytest.approx(40 / 30, abs=0.01)
    assert video["has_sound"] is False
    assert video["error"] is None
    poster = visitor.call("GET", video["poster_url"])
    assert poster.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(poster.content)).size == (320, 192)


def test_what_browsers_play_is_served_as_it_is(
    mine: tuple[Visitor, dict[str, Any]], clip: bytes
) -> None:
    visitor, url = mine[0], mine[1]["source_url"]
    whole = visitor.call("GET", url)
    assert whole.headers["Content-Type"] == "video/mp4"
    assert whole.content == clip
    part = visitor.call("GET", url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, clip[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(clip)}"


@pytest.mark.parametrize("pix_fmt", ["yuv422p", "yuv420p10le"])
def test_h264_that_not_all_browsers_play(visitor: Visitor, tmp_path: Path, pix_fmt: str) -> None:
    path = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(5)], pix_fmt=pix_fmt)
    video = visitor.looked_at(path.read_bytes())
    video = visitor.wait_for(video["id"], lambda v: v["source_url"] is not None)
    assert video["source_url"].endswith("/source.mp4")


def test_other_codecs_get_a_copy_of_the_same_frames(visitor: Visitor, mpeg4_clip: Path) -> None:
    video = visitor.looked_at(mpeg4_clip.read_bytes(), "old.avi")
    video = visitor.wait_for(video["id"], lambda v: v["source_url"] is not None)
    answer = visitor.call("GET", video["source_url"])
    assert answer.headers["Content-Type"] == "video/mp4"
    with av.open(io.BytesIO(answer.content)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert indices(answer.content) == list(range(40))
    # The file itself is nothing that a browser gets to see.
    assert visitor.refused("GET", f"/files/{video['id']}/source")[0] == 404


def test_sound_is_noticed(visitor: Visitor, tmp_path: Path) -> None:
    path = write_sound_clip(tmp_path / "loud.mkv", [Track()])
    video = visitor.looked_at(path.read_bytes())
    assert video["has_sound"] is True
    # A copy for browsers has it, too.
    video = visitor.wait_for(video["id"], lambda v: v["source_url"] is not None)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(visitor.call("GET", video["source_url"]).content)
    assert click_times(copy) == pytest.approx([0.5, 1.5], abs=0.05)


def test_the_first_second_before_the_rest(visitor: Visitor, tmp_path: Path) -> None:
    """Of a file whose index is at its start, a preview is begun while the rest comes."""
    noise = [index_frame(i, 640, 368) for i in range(90)]
    options = {"crf": "1", "preset": "ultrafast", "g": "15", "movflags": "frag_keyframe+empty_moov"}
    path = tmp_path / "clip.mkv"
    content = write_clip(path, noise, options=options).read_bytes()
    content += b"\0" * max(0, 700_000 - len(content))
    video_id = visitor.begin_upload(len(content))
    visitor.put(video_id, content[:650_000])
    video = visitor.wait_for(video_id, lambda v: v["preview"] is not None)
    assert video["state"] == "uploading"
    before = visitor.call("GET", video["preview"]["source_url"]).content
    assert indices(before) == list(range(30))


def test_a_preview_is_reduced(visitor: Visitor, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "wide.mp4", [index_frame(i, 1280, 160) for i in range(33)])
    video = visitor.looked_at(path.read_bytes(), look="stacked")
    video = visitor.wait_for(video["id"], lambda v: v["preview"] is not None)
    assert video["preview"]["kind"] == "stacked"
    before = visitor.call("GET", video["preview"]["source_url"]).content
    with av.open(io.BytesIO(before), "r") as container:
        frames = list(container.decode(video=0))
    assert {(frame.width, frame.height) for frame in frames} == {(PREVIEW_WIDTH_PIXELS, 80)}
    assert len(frames) == 30


@pytest.mark.parametrize("content", [b"not a video at all", b"\0" * 4000], ids=["text", "zeros"])
def test_what_is_no_video(page: RunningPage, visitor: Visitor, content: bytes) -> None:
    video = visitor.looked_at(content, "notes.txt")
    assert video["state"] == "failed"
    assert "notes.txt" in video["error"]
    assert str(page.options.state) not in video["error"]
    assert "\n" not in video["error"]
    assert not [*page.options.state.rglob(f"{video['id']}/source")]


def test_a_truncated_video(visitor: Visitor, clip: bytes) -> None:
    # Its index is at the end.
    video = visitor.looked_at(clip[:-800], "cut.mp4")
    assert video["state"] == "failed"
    assert video["error"].startswith("cut.mp4")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, clip: bytes) -> Iterator[ClipServer]:
    folder = tmp_path_factory.mktemp("clips")
    (folder / "far.mp4").write_bytes(clip)
    with ClipServer(folder) as server:
        yield server


def test_a_pasted_url(visitor: Visitor, clips: ClipServer, clip: bytes) -> None:
    video = visitor.post("/api/videos", {"url": clips.url("far.mp4") + "?token=secret#t=1"})
    assert (video["state"], video["name"]) == ("fetching", "far.mp4")
    video = visitor.wait_for(video["id"], lambda v: v["state"] != "fetching")
    assert video["state"] == "ready"
    assert video["received_bytes"] == len(clip)
    assert "secret" not in str(video)


def test_a_url_that_leads_nowhere(visitor: Visitor, clips: ClipServer) -> None:
    video = visitor.post("/api/videos", {"url": clips.url("none.mp4")})
    video = visitor.wait_for(video["id"], lambda v: v["state"] == "failed")
    assert "404" in video["error"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com/x", "http://"])
def test_a_url_that_is_not_fetched(visitor: Visitor, url: str) -> None:
    video = visitor.post("/api/videos", {"url": url})
    assert visitor.wait_for(video["id"], lambda v: v["state"] == "failed")["error"]
    assert visitor.refused("POST", "/api/videos", json={"url": "no url"})[0] == 422


def test_private_addresses_are_no_business_of_the_page(tmp_path: Path, clips: ClipServer) -> None:
    asked = len(clips.requests)
    options = page_options(tmp_path)
    careful = options.settings.model_copy(update={"allow_private_addresses": False})
    with RunningPage(page_options(tmp_path, settings=careful)) as page:
        visitor = page.visitor()
        video = visitor.post("/api/videos", {"url": clips.url("far.mp4")})
        video = visitor.wait_for(video["id"], lambda v: v["state"] == "failed")
    assert "loopback" in video["error"]
    assert len(clips.requests) == asked


def half_of(visitor: Visitor) -> str:
    """A video of which a part came."""
    video_id = visitor.begin_upload(10)
    visitor.put(video_id, b"half")
    return video_id


def test_removed_and_forgotten(page: RunningPage, visitor: Visitor) -> None:
    first, second = half_of(visitor), half_of(visitor)
    other = page.visitor()
    kept = half_of(other)
    folders = [next(page.options.state.rglob(name)) for name in (first, second, kept)]
    with visitor.listening() as events:
        assert visitor.call("DELETE", f"/api/videos/{first}").status_code == 204
        assert next(told for kind, told in events if kind == "gone") == {"id": first}
    assert [folder.exists() for folder in folders] == [False, True, True]
    visitor.post("/api/forget")
    assert visitor.get("/api/videos") == {"videos": []}
    assert [folder.exists() for folder in folders] == [False, False, True]
    assert other.video(kept)["received_bytes"] == 4


def test_files_go_after_a_while(tmp_path: Path) -> None:
    with RunningPage(page_options(tmp_path)) as page:
        visitor = page.visitor()
        video_id = half_of(visitor)
        expires_at = visitor.video(video_id)["expires_at"]
        assert expires_at - time.time() == pytest.approx(3600, abs=60)
    # What is kept for less is gone at once.
    with RunningPage(page_options(tmp_path, keep_seconds=1e-3)) as page:
        visitor.url = page.url
        deadline_s = time.monotonic() + WITHIN_S
        while visitor.get("/api/videos")["videos"]:
            assert time.monotonic() < deadline_s
        assert visitor.refused("GET", f"/api/videos/{video_id}")[0] == 404
        assert not [*(tmp_path / "files").iterdir()]


def test_events_begin_with_how_it_is(mine: tuple[Visitor, dict[str, Any]]) -> None:
    visitor, video = mine
    with visitor.listening() as events:
        kinds = dict(next(events) for _ in range(2))
    assert kinds["machine"]["state"] in ("starting", "lost")
    assert kinds["machine"]["sentence"]
    assert kinds["video"]["id"] == video["id"]


def test_a_page_is_not_open_without_end(visitor: Visitor) -> None:
    streams = [visitor.session.get(visitor.url + "/api/events", stream=True) for _ in range(9)]
    assert [stream.status_code for stream in streams] == [200] * 8 + [429]
    for stream in streams:
        stream.close()


def test_frames_of_a_proxy_keep_their_times(visitor: Visitor, tmp_path: Path) -> None:
    pts = [0, 1000, 5000, 6000, 20_000]
    frames = [index_frame(i) for i in range(5)]
    path = write_clip(tmp_path / "clip.mkv", frames, pts=pts, codec="ffv1")
    video = visitor.looked_at(path.read_bytes(), "clip.mkv")
    video = visitor.wait_for(video["id"], lambda v: v["source_url"] is not None)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(visitor.call("GET", video["source_url"]).content)
    times = [frame.time for frame in read_frames(copy)]
    assert times == pytest.approx([value / 30_000 for value in pts], abs=0.002)
