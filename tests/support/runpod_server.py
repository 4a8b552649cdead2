"""A stand-in for RunPod's side of a worker: hands out jobs, records what comes back."""

import contextlib
import json
import queue
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

# How long a request for a job or for stop signals is held open.
_POLL_S = 0.2


@dataclass(frozen=True)
class Posted:
    """One message of the worker about a job: progress, or the result."""

    at_s: float
    job_id: str
    body: dict[str, Any]

    @property
    def is_progress(self) -> bool:
        return self.body.get("status") == "IN_PROGRESS"


@dataclass
class RunPodServer:
    """Serves on loopback for as long as its context lasts; `asked` is set by the first request
    for jobs."""

    posted: list[Posted] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._jobs: queue.Queue[dict[str, Any]] = queue.Queue()
        self._stops: queue.Queue[str] = queue.Queue()
        self._arrived = threading.Condition()
        self.asked = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "RunPodServer":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environment(self) -> dict[str, str]:
        """What RunPod sets in a worker's environment."""
        base = f"http://127.0.0.1:{self._server.server_port}/v2/endpoint"
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=none",
            "RUNPOD_ENDPOINT_ID": "endpoint",
            "RUNPOD_POD_ID": "pod",
            # They look for the internet and for a GPU.
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        }

    def submit(self, job_id: str, job_input: dict[str, Any], **beside: Any) -> None:
        """Hand out a job, with what RunPod passes on beside its input."""
        self._jobs.put({"id": job_id, "input": job_input, **beside})

    def is_waiting(self, job_id: str) -> bool:
        """Whether no worker has taken the job yet."""
        with self._jobs.mutex:
            return any(job["id"] == job_id for job in self._jobs.queue)

    def stop(self, job_id: str) -> None:
        """Ask the worker to stop one job, as RunPod does when its user cancels it."""
        self._stops.put(job_id)

    def messages(self, job_id: str) -> list[Posted]:
        with self._arrived:
            return [message for message in self.posted if message.job_id == job_id]

    def wait_for_result(self, job_id: str, timeout_s: float = 240.0) -> dict[str, Any]:
        """The body of the job's result."""
        return self._wait(job_id, timeout_s, progress=False).body

    def wait_for_progress(self, job_id: str, text: str, timeout_s: float = 240.0) -> None:
        """Until a progress message with that text has come."""
        self._wait(job_id, timeout_s, progress=True, text=text)

    def _wait(self, job_id: str, timeout_s: float, *, progress: bool, text: str = "") -> Posted:
        def find() -> Posted | None:
            for message in self.posted:
                if message.job_id != job_id or message.is_progress != progress:
                    continue
                if not progress or text in message.body["output"]:
                    return message
            return None

        with self._arrived:
            assert self._arrived.wait_for(find, timeout_s), f"nothing came for {job_id}"
            found = find()
        assert found is not None
        return found

    def take(self, count: int) -> list[dict[str, Any]]:
        """The next jobs, at most `count`; waits a moment for the first one."""
        self.asked.set()
        jobs = []
        with contextlib.suppress(queue.Empty):
            jobs.append(self._jobs.get(timeout=_POLL_S))
            while len(jobs) < count:
                jobs.append(self._jobs.get_nowait())
        return jobs

    def take_stops(self) -> list[str]:
        try:
            return [self._stops.get(timeout=_POLL_S)]
        except queue.Empty:
            return []

    def record(self, path: str, body: dict[str, Any]) -> None:
        message = Posted(time.monotonic(), path.rsplit("/", 1)[-1], body)
        with self._arrived:
            self.posted.append(message)
            self._arrived.notify_all()


def _handler(server: RunPodServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if "/job-take/" in self.path:
                self._answer(next(iter(server.take(1)), None))
            elif "/job-take-batch/" in self.path:
                (count,) = parse_qs(urlsplit(self.path).query)["batch_size"]
                self._answer(server.take(int(count)) or None)
            elif "/job-stop/" in self.path:
                self._answer({"jobsToStop": server.take_stops()})
            else:
                self._answer({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.record(urlsplit(self.path).path, json.loads(body))
            self._answer({})

        def _answer(self, content: dict[str, Any] | list[dict[str, Any]] | None) -> None:
            body = b"" if content is None else json.dumps(content).encode()
            self.send_response(204 if content is None else 200)
            if content is not None:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            # A worker that was killed does not read any more.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler
