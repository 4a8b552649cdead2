"""The live example: what it shows, counts and drops, under load and without a server; its end."""

import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from examples.live.__main__ import main
from examples.live.slot import Frame, Slot
from PIL import Image
from tests.support.clips import index_frame, write_clip
from tests.support.commands import invoke
from tests.support.gateway import Gateway, serving
from tests.support.processes import client_segments

from rvm_client import MattingSession

ROOT = Path(__file__).parents[2]
SIZE = (640, 360)
BLUE = (20, 40, 220)


class Live:
    """The running program."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process = process
        self.url = url

    def get(self, path: str = "", **headers: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return bytes(answer.read())

    def stats(self) -> dict[str, Any]:
        """The figures, which add up at any moment."""
        stats: dict[str, Any] = json.loads(self.get("stats"))
        sums = stats["matted"] + stats["dropped"] + stats["waiting"] + stats["at_work"]
        assert stats["captured"] == sums
        assert stats["waiting"] <= 1
        assert stats["at_work"] <= 1
        return stats

    def until(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The figures once they are so."""
        for _ in range(300):
            if is_so(stats := self.stats()):
                return stats
            time.sleep(0.1)
        raise AssertionError(stats)

    def pictures(self, count: int) -> list[Image.Image]:
        """The next ones of the stream."""
        with urllib.request.urlopen(self.url + "stream", timeout=20) as answer:
            assert answer.headers.get_content_type() == "multipart/x-mixed-replace"
            return [next_picture(answer, answer.headers.get_boundary()) for _ in range(count)]

    def end(self) -> tuple[int, str, str]:
        """Ctrl-C: the status, and what was printed on stdout and stderr."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


def next_picture(stream: Any, boundary: str) -> Image.Image:
    assert stream.readline() == f"--{boundary}\r\n".encode()
    headers = http.client.parse_headers(stream)
    assert headers["Content-Type"] == "image/jpeg"
    picture = Image.open(io.BytesIO(stream.read(int(headers["Content-Length"]))))
    assert stream.readline() == b"\r\n"
    return picture


@contextmanager
def live(server: str, *arguments: object) -> Iterator[Live]:
    command = [sys.executable, "-m", "examples.live", "--server", server, "--port", 0, *arguments]
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url, _, rest = process.stdout.readline().partition(" ")
            assert rest == "shows it; Ctrl-C ends it\n", process.communicate()
            yield Live(process, url)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def running(triton_url: str) -> Iterator[Live]:
    """With the test pattern over blue."""
    with live(triton_url, "--size", "{}x{}".format(*SIZE), "--background", "rgb(20,40,220)") as it:
        yield it


def test_pictures_come(running: Live, triton_url: str) -> None:
    pictures = running.pictures(4)
    assert {picture.size for picture in pictures} == {SIZE}
    arrays = [np.asarray(picture).astype(int) for picture in pictures]
    # The wall of the pattern is no person.
    assert np.abs(arrays[-1][:40, :40] - BLUE).max() < 12
    stats = running.until(lambda stats: stats["matted"] >= 4)
    assert stats["server"] == triton_url
    assert 0 < stats["latency_ms"]["p50"] <= stats["latency_ms"]["p95"]
    assert stats["fps"] > 0


def test_the_page(running: Live) -> None:
    page = running.get().decode()
    assert 'src="/stream"' in page
    assert all(name in page for name in ("captured", "matted", "dropped", "latency_ms"))


@pytest.mark.parametrize(
    ("path", "host", "status"), [("nothing", "127.0.0.1", 404), ("stats", "example.com", 403)]
)
def test_what_the_page_refuses(running: Live, path: str, host: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        running.get(path, Host=host)
    refused.value.close()
    assert refused.value.code == status


def test_nothing_grows_under_load(running: Live, triton_url: str) -> None:
    """A batch session takes most of the server, and three readers of the stream do not read."""
    process = psutil.Process(running.process.pid)
    host, port = running.url.removeprefix("http://").rstrip("/").split(":")
    with ExitStack() as readers, batch_beside(triton_url):
        for _ in range(3):
            reader = readers.enter_context(socket.create_connection((host, int(port))))
            reader.sendall(b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        running.pictures(3)
        before, began_s, began_bytes = running.stats(), time.monotonic(), process.memory_info().rss
        threads = process.num_threads()
        time.sleep(4)
        running.until(lambda stats: stats["matted"] > before["matted"] + 2)
        after, seconds = running.stats(), time.monotonic() - began_s
        grown = process.memory_info().rss - began_bytes
        # A reader that reads gets the newest.
        assert len(running.pictures(2)) == 2
    captured, matted, dropped = (
        after[name] - before[name] for name in ("captured", "matted", "dropped")
    )
    assert captured > 2 * matted > 0
    assert dropped > 0
    # Half of what was captured would be more.
    assert grown < captured * SIZE[0] * SIZE[1] * 3 / 2
    # One that waits for the frame at work, then its own turn: two turns; in a queue it were many.
    turn_ms = 1000 * seconds / matted
    assert after["latency_ms"]["p95"] < 4 * turn_ms
    # Each reader had a thread.
    running.until(lambda _: process.num_threads() <= threads - 3)


@contextmanager
def batch_beside(server: str) -> Iterator[None]:
    is_over = threading.Event()

    def frames() -> Iterator[Any]:
        while not is_over.is_set():
            yield np.zeros((SIZE[1], SIZE[0], 3), np.uint8)

    def matte() -> None:
        with MattingSession(server, frames_per_request=4) as session:
            for _ in session.matte(frames()):
                pass

    thread = threading.Thread(target=matte)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_ctrl_c_ends_it(triton_url: str) -> None:
    with live(triton_url, "--size", "160x96") as it:
        reader = urllib.request.urlopen(it.url + "stream", timeout=20)
        it.until(lambda stats: stats["matted"] > 0)
        status, out, err = it.end()
        reader.close()
    assert (status, err) == (0, "")
    assert " matted, " in out
    assert client_segments(it.process.pid) == []


def test_a_lost_server_is_waited_for(triton_url: str) -> None:
    """Frames are dropped meanwhile, and Ctrl-C ends it then, too."""
    with serving(Gateway(triton_url)) as url:
        started = live(url.replace("localhost", "127.0.0.1"), "--size", "160x96")
        it = started.__enter__()
        it.until(lambda stats: stats["matted"] > 0)
    try:
        lost = it.until(lambda stats: stats["dropped"] > 20)
        with serving(Gateway(triton_url), port=int(url.rpartition(":")[2])):
            it.until(lambda stats: stats["matted"] > lost["matted"])
        again = it.stats()
        it.until(lambda stats: stats["dropped"] > again["dropped"] + 20)
        status, out, _ = it.end()
        assert (status, " matted, " in out) == (0, True)
    finally:
        started.__exit__(None, None, None)


def test_a_busy_server_drops_the_frame(triton_url: str) -> None:
    busy = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    gateway = Gateway(triton_url, [busy] * 3)
    with serving(gateway) as url, live(url, "--size", "160x96", "--seconds", 3) as it:
        out, err = it.process.communicate(timeout=60)
    assert (it.process.returncode, err.count("error")) == (0, 0)
    matted = int(out.split(" matted")[0].rpartition(" ")[2])
    assert matted > 0
    assert len(gateway.requests) >= matted + 3
    # None was sent again: each has a frame of its own.
    frames = {tuple(request.raw_input_contents) for request in gateway.requests}
    assert len(frames) == len(gateway.requests)


def test_a_file_is_played_once_in_its_own_time(triton_url: str, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "my_video.mp4", [index_frame(i, 320, 180) for i in range(30)])
    began_s = time.monotonic()
    with live(triton_url, "--source", clip, "--size", "160x160") as it:
        out, err = it.process.communicate(timeout=60)
    assert (it.process.returncode, err) == (0, "")
    assert "30 frames captured" in out
    assert time.monotonic() - began_s > 29 / 30


def test_it_ends_after_the_seconds_it_was_given(triton_url: str) -> None:
    with live(triton_url, "--size", "64x64", "--seconds", 0.5) as it:
        assert it.process.wait(timeout=60) == 0


@pytest.fixture
def used_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def failure(*arguments: object) -> str:
    """The one line of a start that fails."""
    result = invoke(main, *arguments)
    assert result.exit_code != 0
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


def test_inputs_that_are_no_use(triton_url: str, used_port: int, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    here = ("--server", triton_url)
    camera = failure("--source", "camera", "--device", "/dev/video99")
    assert camera == "the camera /dev/video99 cannot be opened: No such file or directory"
    assert failure("--source", text).startswith(f"the video {text} cannot be opened: ")
    assert failure("--source", "gone.mp4") == (
        "the video gone.mp4 cannot be opened: No such file or directory"
    )
    assert failure("--background", text) == f"the background '{text}' is no colour and no picture"
    assert "is no size such as 640x360" in failure("--size", "large")
    assert failure("--server", "127.0.0.1:9").startswith("no Triton server answers at 127.0.0.1:9;")
    assert failure(*here, "--port", used_port) == (
        f"port {used_port} cannot be had for the page (Address already in use); choose another "
        "with --port"
    )


def test_a_virtual_camera_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    assert failure("--virtual-camera").startswith(
        "a virtual camera needs the package pyvirtualcam (pip install pyvirtualcam)"
    )


# --- the slot


def test_the_newest_frame_takes_the_place_of_one_that_waits() -> None:
    slot = Slot()
    old, new = (Frame(np.zeros((2, 2, 3), np.uint8), float(i)) for i in range(2))
    slot.put(old)
    slot.put(new)
    assert slot.take(0) is new
    assert slot.take(0) is None
    counts = slot.counts
    assert (counts.captured, counts.dropped, counts.waiting, counts.at_work) == (2, 1, 0, 1)
    slot.done(is_matted=False)
    assert slot.counts.dropped == 2


def test_the_last_frame_comes_before_the_end() -> None:
    slot = Slot()
    slot.put(Frame(np.zeros((2, 2, 3), np.uint8), 0.0))
    slot.end(ValueError("unplugged"))
    assert slot.take(0) is not None
    with pytest.raises(ValueError, match="unplugged"):
        slot.take(0)
