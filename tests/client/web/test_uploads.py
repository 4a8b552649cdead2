"""Files that come in: in parts, after a cut, and no more than may be."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.web_page import RunningPage, Visitor, page_options

from rvm_client.web import PageLimits

IMPATIENT = PageLimits(upload_bytes=200_000, idle_timeout_s=0.4, header_timeout_s=0.4)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPage]:
    options = page_options(tmp_path_factory.mktemp("strict"), limits=IMPATIENT)
    with RunningPage(options) as running:
        yield running


def raw_put(
    page: RunningPage, visitor: Visitor, video_id: str, length: int, offset: int = 0
) -> socket.socket:
    """An upload of which only the head was sent."""
    connection = socket.create_connection(("127.0.0.1", page.port))
    cookie = visitor.session.cookies["rvm_web"]
    connection.sendall(
        f"PUT /api/videos/{video_id}/source HTTP/1.1\r\nHost: 127.0.0.1\r\nX-RVM-Page: 1\r\n"
        f"Cookie: rvm_web={cookie}\r\nUpload-Offset: {offset}\r\n"
        f"Content-Length: {length}\r\n\r\n".encode()
    )
    return connection


def received(visitor: Visitor, video_id: str, size: int) -> None:
    visitor.wait_for(video_id, lambda video: video["received_bytes"] == size)


def test_parts_make_the_file(visitor: Visitor, clip: bytes) -> None:
    video_id = visitor.begin_upload(len(clip))
    for start in range(0, len(clip), 3000):
        part = clip[start : start + 3000]
        assert visitor.put(video_id, part, start).json()["received_bytes"] == start + len(part)
    video = visitor.wait_for(video_id, lambda v: v["state"] == "ready")
    assert visitor.call("GET", video["source_url"]).content == clip


def test_what_came_before_a_cut_stays(
    page: RunningPage, visitor: Visitor, clip: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    video_id = visitor.begin_upload(len(clip))
    with raw_put(page, visitor, video_id, len(clip)) as connection:
        connection.sendall(clip[:5000])
        received(visitor, video_id, 5000)
    visitor.put(video_id, clip[5000:], 5000)
    assert "Traceback" not in caplog.text
    video = visitor.wait_for(video_id, lambda v: v["state"] == "ready")
    assert visitor.call("GET", video["source_url"]).content == clip


def test_a_hanging_upload_gives_way_to_the_next(
    page: RunningPage, visitor: Visitor, clip: bytes
) -> None:
    # One byte is never sent: what is whole would be looked at.
    video_id = visitor.begin_upload(len(clip) + 1)
    with raw_put(page, visitor, video_id, len(clip)) as connection:
        connection.sendall(clip[:1000])
        received(visitor, video_id, 1000)
        assert visitor.put(video_id, clip[1000:], 1000).json() == {"received_bytes": len(clip)}
        assert b" 409 " in connection.makefile("rb").readline()


def test_an_offset_that_is_not_next(visitor: Visitor, clip: bytes) -> None:
    video_id = visitor.begin_upload(len(clip))
    visitor.put(video_id, clip[:1000])
    answer = visitor.put(video_id, clip[2000:], 2000)
    assert answer.status_code == 409
    assert answer.json()["received_bytes"] == 1000
    assert "begins at 1000" in answer.json()["error"]


@pytest.mark.parametrize("offset", ["-1", "one", "1e3", "9" * 40])
def test_an_offset_that_is_none(visitor: Visitor, offset: str) -> None:
    path = f"/api/videos/{visitor.begin_upload(10)}/source"
    status, _ = visitor.refused("PUT", path, data=b"1", headers={"Upload-Offset": offset})
    assert status == 422


def test_more_than_was_said(visitor: Visitor) -> None:
    video_id = visitor.begin_upload(1000)
    assert visitor.put(video_id, b"x" * 1001).status_code == 413
    # In pieces, the whole is not known before it comes.
    assert visitor.put(video_id, iter([b"x" * 600, b"x" * 600])).status_code == 413
    assert visitor.video(video_id)["received_bytes"] <= 1000


@pytest.mark.parametrize("size", [0, -1, True, "12", 1.5, None])
def test_a_size_that_is_none(visitor: Visitor, size: object) -> None:
    status, sentence = visitor.refused("POST", "/api/videos", json={"name": "x", "bytes": size})
    assert (status, "size of the file" in sentence) == (422, True)


def test_a_file_above_the_limit_is_refused_before_it_comes(strict: RunningPage) -> None:
    visitor = strict.visitor()
    assert visitor.get("/api/settings")["limits"]["upload_bytes"] == 200_000
    status, sentence = visitor.refused("POST", "/api/videos", json={"name": "x", "bytes": 200_001})
    assert (status, "200001 bytes" in sentence) == (413, True)


def test_a_background_above_the_limit_leaves_nothing(strict: RunningPage) -> None:
    visitor = strict.visitor()
    path = f"/api/videos/{visitor.begin_upload(10)}/background"
    for data in (b"x" * 200_001, iter([b"x" * 200_000, b"x"])):
        assert visitor.call("PUT", path, data=data).status_code == 413
    assert not [*strict.options.state.rglob("background-*")]


def test_a_silent_upload_ends_and_goes_on_later(strict: RunningPage, clip: bytes) -> None:
    visitor = strict.visitor()
    video_id = visitor.begin_upload(len(clip) + 1)
    with raw_put(strict, visitor, video_id, len(clip)) as connection:
        connection.sendall(clip[:1000])
        answer = connection.makefile("rb").readline()
    assert b" 408 " in answer
    received(visitor, video_id, 1000)
    assert visitor.put(video_id, clip[1000:], 1000).ok


def test_a_trickle_ends(strict: RunningPage, clip: bytes) -> None:
    visitor = strict.visitor()
    video_id = visitor.begin_upload(len(clip))
    with raw_put(strict, visitor, video_id, len(clip)) as connection:
        connection.settimeout(0.05)
        answer = b""
        for _ in range(100):
            connection.sendall(b"x")
            try:
                answer = connection.recv(1000)
                break
            except TimeoutError:
                continue
    assert b" 408 " in answer


def test_uploads_at_once_are_bounded(tmp_path: Path, clip: bytes) -> None:
    limits = PageLimits(uploads_at_once=1)
    with RunningPage(page_options(tmp_path, limits=limits)) as page:
        visitor = page.visitor()
        first, second = visitor.begin_upload(len(clip)), visitor.begin_upload(len(clip))
        with raw_put(page, visitor, first, len(clip)) as connection:
            connection.sendall(clip[:10])
            received(visitor, first, 10)
            assert visitor.put(second, clip).status_code == 429
            # Others are not kept waiting.
            other = page.visitor()
            assert other.put(other.begin_upload(len(clip) + 1), clip).ok


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_a_connection_without_a_request_ends(strict: RunningPage, start: bytes) -> None:
    with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as connection:
        connection.sendall(start)
        assert connection.recv(1000) == b""


def test_a_full_disk_is_seen_before(tmp_path: Path) -> None:
    limits = replace(PageLimits(), free_bytes=1 << 60)
    with RunningPage(page_options(tmp_path, limits=limits)) as page:
        status, sentence = page.visitor().refused(
            "POST", "/api/videos", json={"name": "x", "bytes": 1}
        )
    assert (status, "no room" in sentence) == (507, True)


def test_removed_while_it_comes(page: RunningPage, visitor: Visitor, clip: bytes) -> None:
    video_id = visitor.begin_upload(len(clip))
    with raw_put(page, visitor, video_id, len(clip)) as connection:
        connection.sendall(clip[:5000])
        received(visitor, video_id, 5000)
        assert visitor.call("DELETE", f"/api/videos/{video_id}").status_code == 204
        assert connection.makefile("rb").readline().split()[1:2] in ([b"409"], [b"404"], [])
    assert not [*page.options.state.rglob(f"{video_id}*")]
