"""A stand-in for the API of a RunPod endpoint: takes jobs, tells their status, keeps results."""

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from tests.support.http_faults import FaultyServer, Request, Response

KEY = "rpa_THE_SECRET_KEY"
ENDPOINT = "abc123"


@dataclass
class PostedJob:
    """A job as the endpoint has it."""

    input: dict[str, Any]
    fate: str
    """done, done at once, stuck, lost, or the sentence with which it fails."""
    asked: int = 0
    status: str = "IN_QUEUE"


@dataclass
class Fates:
    """What becomes of the jobs of a video, in the order in which they are posted; then "done"."""

    of_videos: dict[str, list[str]] = field(default_factory=dict)

    def next(self, video: str) -> str:
        fates = self.of_videos.get(video, [])
        return fates.pop(0) if fates else "done"


class RunPodApiServer(FaultyServer):
    """Serves on loopback; see `FaultyServer` for faults of single answers.

    A job is IN_QUEUE when it is first asked for, then IN_PROGRESS, then over. Results lie beside.
    """

    def __init__(self, results: dict[str, bytes]) -> None:
        super().__init__()
        self.jobs: dict[str, PostedJob] = {}
        self.fates = Fates()
        self.most_at_a_time = 0
        self.output: dict[str, Any] = {}
        """More fields of each job's output."""
        self._results = results
        self._numbers = itertools.count(1)

    @property
    def environment(self) -> dict[str, str]:
        """What leads a client here."""
        return {
            "RUNPOD_API_KEY": KEY,
            "RVM_RUNPOD_API_URL": f"{self.base_url}/v2",
            "RVM_ALLOW_PRIVATE_ADDRESSES": "true",
        }

    @property
    def videos(self) -> list[str]:
        """The names of the videos of the jobs that were posted, in order."""
        return [_name(job.input) for job in self.jobs.values()]

    def answer(self, request: Request) -> Response:
        if request.path.startswith("/results/"):
            name = request.path.rpartition("/")[2].partition("?")[0]
            return Response(200, self._results[name])
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return Response(401)
        endpoint, _, call = request.path.removeprefix("/v2/").partition("/")
        if endpoint != ENDPOINT:
            return Response(404)
        name, _, job_id = call.partition("/")
        if request.method == "POST" and name == "run":
            return self._run(json.loads(request.body))
        if request.method == "GET" and name == "health":
            return _json({"jobs": {}, "workers": {}})
        job = self.jobs.get(job_id)
        if job is None:
            return Response(404)
        if request.method == "POST" and name == "cancel":
            job.status = "CANCELLED"
            return _json({"id": job_id, "status": job.status})
        return self._status(job_id, job)

    def _run(self, body: dict[str, Any]) -> Response:
        job_id = f"job-{next(self._numbers)}"
        video = _name(body["input"])
        self.jobs[job_id] = PostedJob(body["input"], self.fates.next(video))
        going = [j for j in self.jobs.values() if j.status in ("IN_QUEUE", "IN_PROGRESS")]
        self.most_at_a_time = max(self.most_at_a_time, len(going))
        return _json({"id": job_id, "status": "IN_QUEUE"})

    def _status(self, job_id: str, job: PostedJob) -> Response:
        job.asked += 1
        if job.fate == "lost":
            job.status = "LOST"
            return Response(404)
        if job.fate == "done at once":
            job.status = "COMPLETED"
        elif job.status == "IN_QUEUE" and job.asked > 1:
            job.status = "IN_PROGRESS"
        elif job.status == "IN_PROGRESS" and job.fate != "stuck":
            job.status = "COMPLETED" if job.fate == "done" else "FAILED"
        answer: dict[str, Any] = {"id": job_id, "status": job.status, "delayTime": 5}
        if job.status == "IN_PROGRESS":
            answer["output"] = "Processing (50%)"
        elif job.status == "FAILED":
            answer |= {"error": job.fate, "executionTime": 1500}
        elif job.status == "COMPLETED":
            answer |= {"output": self._output(job.input), "executionTime": 2500}
        return _json(answer)

    def _output(self, fields: dict[str, Any]) -> dict[str, Any]:
        name = _name(fields)
        output = {"output_url": self.url(f"/results/{name}?signature=x"), "frames": 12}
        if fields.get("preview"):
            output["preview_url"] = self.url("/results/preview.jpg")
        return {**output, "model_version": "3", "bytes": len(self._results[name]), **self.output}


def _name(fields: dict[str, Any]) -> str:
    return str(fields["video_url"]).rpartition("/")[2]


def _json(body: dict[str, Any]) -> Response:
    return Response(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
