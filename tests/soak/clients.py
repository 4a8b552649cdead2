"""Who posts jobs, posts them again when a fault has ended them, and looks at what comes back."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import av
from tests.soak.endpoint import Endpoint
from tests.support.clip_server import ClipServer
from tests.support.clips import index_frame, write_clip

_FRAMES = 48
# A job that gets no result within these is lost.
_PATIENCE_S = 180.0
_ATTEMPTS = 8
_KINDS: tuple[dict[str, Any], ...] = (
    {"output_type": "greenscreen"},
    {"output_type": "greenscreen", "background": "#ff0000", "max_width": 160},
    {"output_type": "alpha"},
    {"output_type": "alpha_prores"},
    {"output_type": "matte", "preview": True},
    {"output_type": "greenscreen", "warm_start": False, "downsample_ratio": 0.5},
)
# What a fault may make of a job; anything else is wrong.
_MAY_FAIL = ("decoder", "Triton server", "cannot be decoded")


def make_clips(folder: Path) -> Path:
    """A folder with a clip that can be matted, and a file that is none."""
    folder.mkdir()
    write_clip(folder / "clip.mp4", [index_frame(i) for i in range(_FRAMES)])
    (folder / "notes.mp4").write_text("not a video")
    return folder


@dataclass
class Clients:
    """`done` jobs had the right result, `again` of the posts were for a job that a fault ended."""

    endpoint: Endpoint
    files: ClipServer
    seed: int
    done: int = 0
    again: int = 0
    complaints: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _number: int = 0

    def do(self, count: int) -> None:
        """So many jobs, one after the other."""
        random = Random(self.seed)
        for _ in range(count):
            self._do_one(random)

    def do_until(self, end_s: float, clients: int) -> None:
        """Jobs of several clients side by side, until the time is over."""

        def post(random: Random) -> None:
            while time.monotonic() < end_s:
                self._do_one(random)

        threads = [
            threading.Thread(target=post, args=[Random(self.seed + 1 + number)])
            for number in range(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _do_one(self, random: Random) -> None:
        if random.random() < 0.1:
            self._post({"video_url": self.files.url("notes.mp4")}, is_video=False)
        else:
            self._post({"video_url": self.files.url("clip.mp4"), **random.choice(_KINDS)})

    def _post(self, job: dict[str, Any], *, is_video: bool = True) -> None:
        """Post a job until it has its result."""
        for _ in range(_ATTEMPTS):
            result = self._result(job)
            error = None if result is None else result.get("error")
            if result is not None and is_video == (error is None):
                problem = _problem(result, job) if is_video else None
                self._count(problem)
                return
            if error is not None and not any(words in error for words in _MAY_FAIL):
                self._count(f"wrong: {job} ended with: {error}")
                return
            with self._lock:
                self.again += 1
        self._count(f"lost: {job} had no result in {_ATTEMPTS} attempts; the last: {error}")

    def _result(self, job: dict[str, Any]) -> dict[str, Any] | None:
        """The body of the result; None: the worker that had the job is gone, or hangs."""
        with self._lock:
            self._number += 1
            job_id = f"job-{self._number}"
        runpod, generation = self.endpoint.runpod, self.endpoint.generation
        runpod.submit(job_id, job)
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            for message in runpod.messages(job_id):
                if not message.is_progress:
                    return message.body
            if self.endpoint.generation != generation and not runpod.is_waiting(job_id):
                return None
            time.sleep(0.1)
        self._count(f"lost: {job} had no answer within {_PATIENCE_S:g} s")
        return None

    def _count(self, problem: str | None) -> None:
        with self._lock:
            if problem is None:
                self.done += 1
            else:
                self.complaints.append(problem)


def _problem(result: dict[str, Any], job: dict[str, Any]) -> str | None:
    """What is wrong with the file of a result; None where nothing is."""
    path = Path(url2pathname(urlsplit(result["output"]["output_url"]).path))
    with av.open(str(path)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    path.unlink()
    return None if frames == _FRAMES else f"wrong: {job} gave {frames} frames"
