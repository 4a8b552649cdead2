"""What a page that was stopped, or killed, leaves to the next."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.support import stub_triton
from tests.support.processes import server_names
from tests.support.web_page import RunningPage, Visitor, page_options

from rvm_client.config import process_environment
from rvm_client.errors import ConfigError
from rvm_client.web.folders import SOURCE_NAME

COMMAND = [sys.executable, "-c", "from rvm_client.cli.web import web; web()", "--port", "0"]


def as_before(page: RunningPage, visitor: Visitor) -> Visitor:
    """The same browser at the page that was started again."""
    again = Visitor(page.url)
    again.session.cookies.update(visitor.session.cookies.get_dict())
    return again


def test_videos_and_jobs_are_still_there(tmp_path: Path, clip: bytes) -> None:
    with RunningPage(page_options(tmp_path)) as page:
        visitor = page.visitor()
        video = visitor.looked_at(clip, "mine.mp4")
        half = visitor.begin_upload(len(clip))
        visitor.put(half, clip[:2000])
        body = {"fields": {"speed": "fast"}, "output_types": ["matte", "alpha"]}
        job = visitor.post(f"/api/videos/{video['id']}/jobs", body)
        assert job["state"] == "queued"
    with RunningPage(page_options(tmp_path)) as page:
        again = as_before(page, visitor)
        (kept, uploading) = again.get("/api/videos")["videos"]
        assert kept["name"] == "mine.mp4"
        assert kept["jobs"] == [job]
        assert again.call("GET", kept["source_url"]).content == clip
        assert uploading["received_bytes"] == 2000
        again.put(half, clip[2000:], 2000)
        again.wait_for(half, lambda v: v["state"] == "ready")
        # It waits, and so it can be cancelled.
        assert again.call("DELETE", f"/api/jobs/{job['id']}").status_code == 204
        assert again.video(video["id"])["jobs"][0]["state"] == "cancelled"
        assert again.call("DELETE", f"/api/jobs/{job['id']}").status_code == 204
        assert again.video(video["id"])["jobs"] == []


def test_a_folder_has_one_page(tmp_path: Path) -> None:
    with (
        RunningPage(page_options(tmp_path)),
        pytest.raises(ConfigError, match="another page has the folder"),
    ):
        RunningPage(page_options(tmp_path))


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with RunningPage(page_options(tmp_path / "a")) as page:
        options = page_options(tmp_path / "b", port=page.port)
        with pytest.raises(ConfigError, match=r"in use.*--port"):
            RunningPage(options)


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--state"):
        RunningPage(page_options(tmp_path / "file" / "state"))


def test_files_of_nobody_go_at_the_start(tmp_path: Path) -> None:
    left = tmp_path / "files" / "session" / "video"
    left.mkdir(parents=True)
    (left / SOURCE_NAME).touch()
    with RunningPage(page_options(tmp_path)):
        assert not [*(tmp_path / "files").iterdir()]


# --- The command.


@contextmanager
def started(state: Path, temporary: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`rvm-web` with a server of its own, and the page's URL. Whoever starts it ends it."""
    binary = temporary / "triton"
    if not binary.exists():
        binary.mkdir()
        stub_triton.install(binary)
    repository = temporary / "repository" / "rvm_mobilenetv3"
    (repository / "1").mkdir(parents=True, exist_ok=True)
    (repository / "1" / "model.pt").touch()
    (repository / "config.pbtxt").touch()
    environment = process_environment() | {
        "RVM_TRITONSERVER": str(binary / "bin" / "tritonserver"),
        "RVM_MODEL_REPOSITORY": str(repository.parent),
        "RVM_WEB_STATE": str(state),
        "TMPDIR": str(temporary),
    }
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        word, url = process.stdout.readline().split()
        assert word == "open"
        yield process, url.rstrip("/")


def await_true(is_so: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_a_signal_ends_all(tmp_path: Path) -> None:
    with started(tmp_path / "state", tmp_path) as (process, url):
        await_true(lambda: server_names(tmp_path))
        visitor = Visitor(url)
        assert visitor.call("GET", "/").ok
        with visitor.listening():
            process.terminate()
            assert process.wait(30) == 0
    assert not server_names(tmp_path)


def test_killed(tmp_path: Path, clip: bytes) -> None:
    """Nothing of it runs on, and the next one goes on."""
    with started(tmp_path / "state", tmp_path) as (process, url):
        visitor = Visitor(url)
        visitor.call("GET", "/")
        video = visitor.looked_at(clip)
        await_true(lambda: server_names(tmp_path))
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(children, 30)
        assert not alive
    with started(tmp_path / "state", tmp_path) as (process, url):
        visitor.url = url
        assert visitor.video(video["id"])["state"] == "ready"
        await_true(lambda: server_names(tmp_path))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not server_names(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "there is no password"),
        (["--password-file", "/nowhere"], "/nowhere"),
    ],
)
def test_it_says_why_not(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--state", str(tmp_path), *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
