"""The page on a socket of this machine, and those who visit it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from rvm_client.closing import Closing
from rvm_client.config import Settings
from rvm_client.web import PageOptions, PageServer

WITHIN_S = 60.0
# Nothing listens there: sources are looked at, and nothing is matted.
NO_TRITON = "127.0.0.1:9"


def page_options(state: Path, triton_url: str = NO_TRITON, **changes: Any) -> PageOptions:
    """Of a page at any free port."""
    settings = Settings(triton_url=triton_url, allow_private_addresses=True)
    return replace(PageOptions(settings, state, port=0), **changes)


class Visitor:
    """A browser's side: a cookie, and the page's header."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers["X-RVM-Page"] = "1"

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request; `path` is relative to the page, as its URLs are."""
        return self.session.request(method, urljoin(self.url, path), timeout=WITHIN_S, **more)

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        answer = self.call("GET", path)
        assert answer.ok, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        """What comes back for a JSON body; None where nothing does."""
        answer = self.call("POST", path, json=body)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, **more: Any) -> tuple[int, str]:
        """The status and the sentence of a request that is refused."""
        answer = self.call(method, path, **more)
        assert not answer.ok, answer.text
        return answer.status_code, str(answer.json()["error"])

    def begin_upload(self, size: int, name: str = "clip.mp4", **more: Any) -> str:
        """The id of a video that is to come."""
        video = self.post("/api/videos", {"name": name, "bytes": size, **more})
        return str(video["id"])

    def upload(self, content: bytes, name: str = "clip.mp4", **more: Any) -> str:
        """The id of a video that came."""
        video_id = self.begin_upload(len(content), name, **more)
        answer = self.put(video_id, content)
        assert answer.json() == {"received_bytes": len(content)}
        return video_id

    def put(self, video_id: str, content: Any, offset: int = 0) -> requests.Response:
        """A part of a source."""
        headers = {"Upload-Offset": str(offset)}
        return self.call("PUT", f"/api/videos/{video_id}/source", data=content, headers=headers)

    def video(self, video_id: str) -> dict[str, Any]:
        """How it is now."""
        video: dict[str, Any] = self.get(f"/api/videos/{video_id}")
        return video

    def wait_for(self, video_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The video once it is so."""
        deadline_s = time.monotonic() + WITHIN_S
        while not is_so(video := self.video(video_id)):
            assert time.monotonic() < deadline_s, video
            time.sleep(0.05)
        return video

    def looked_at(self, content: bytes, name: str = "clip.mp4", **more: Any) -> dict[str, Any]:
        """A video that was uploaded and looked at."""
        video_id = self.upload(content, name, **more)
        return self.wait_for(video_id, lambda video: video["state"] in ("ready", "failed"))

    @contextmanager
    def listening(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """The events, as kind and payload."""
        with self.session.get(self.url + "/api/events", stream=True, timeout=WITHIN_S) as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            yield _events(answer)


def _events(answer: requests.Response) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in answer.iter_lines(decode_unicode=True):
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


class RunningPage(Closing):
    """A page in a thread of its own, until it is closed."""

    def __init__(self, options: PageOptions) -> None:
        self.options = options
        self._server = PageServer(options)
        self._open = threading.Event()
        self._failure: BaseException | None = None
        self.url = ""
        self._thread = threading.Thread(target=self._run, name="page")
        self._thread.start()
        self._open.wait(WITHIN_S)
        self._raise_failure()

    @property
    def port(self) -> int:
        """Where it listens."""
        return urlsplit(self.url).port or 0

    def visitor(self) -> Visitor:
        """Somebody who has opened the page."""
        visitor = Visitor(self.url)
        assert visitor.call("GET", "/").ok
        return visitor

    def close(self) -> None:
        """Stop it as a signal does."""
        self._server.stop()
        self._thread.join()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def _run(self) -> None:
        try:
            self._server.run(self._opened)
        except BaseException as exc:
            self._failure = exc
        finally:
            self._open.set()

    def _opened(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._open.set()
