"""The engine of a RunPod endpoint: each item is a job that is posted, asked for and collected."""

import re
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rvm_client.batch.engine import Backlog, Watcher
from rvm_client.batch.items import Item, Outcome, ServedModel, Status
from rvm_client.batch.runpod_api import RemoteJob, RunPodApi
from rvm_client.batch.runpod_job import as_made, file_name, file_urls, job_input, page_of
from rvm_client.batch.targets import Target
from rvm_client.closing import Closing
from rvm_client.config import Settings
from rvm_client.download import DownloadLimits, download
from rvm_client.errors import JobError, RvmError, StoppedError, printable
from rvm_client.net import Backoff
from rvm_client.output_types import FileRole
from rvm_client.owned import part_file
from rvm_client.wire import Variant

# A job that the endpoint has forgotten is posted anew, but not for ever: it may be what kills it.
MOST_POSTS = 3
_DOWNLOADS_AT_ONCE = 4
_CANCELS_AT_ONCE = 8
# As `worker/messages.py` words it.
_PROGRESS = re.compile(r"Processing \((\d+)(%| frames)\)")
POLLING = Backoff(first_wait_s=1.0, longest_wait_s=15.0)


@dataclass
class _Flight:
    """An item whose job is on the endpoint."""

    item: Item
    job_id: str
    posted_s: float
    posts: int = 1
    asked: int = 0
    next_s: float = field(default=0.0)


class RunPod(Closing):
    """See Engine. Sources are URLs.

    Args:
        api: of the endpoint.
        endpoint_id: its name.
        settings: the environment.
        target: where results are collected; None: they stay in the endpoint's store.
        in_flight: how many jobs are on the endpoint at most.
        polling: how long to wait before a job is asked for again; None: seconds.
    """

    def __init__(
        self,
        api: RunPodApi,
        endpoint_id: str,
        settings: Settings,
        target: Target | None,
        in_flight: int,
        polling: Backoff | None = None,
    ) -> None:
        self._api = api
        self._endpoint_id = endpoint_id
        self._target = target
        self._in_flight = in_flight
        self._polling = polling or POLLING
        self._limits = DownloadLimits(
            max_bytes=settings.max_download_bytes,
            total_timeout_s=settings.download_timeout_s,
            allow_private_addresses=settings.allow_private_addresses,
        )

    def close(self) -> None:
        """Nothing is held between items."""

    def model(self, _variant: Variant) -> ServedModel:
        """See Engine: the endpoint does not say its version before a job has been done."""
        return ServedModel("", f"runpod/{self._endpoint_id}")

    def check(self, items: Sequence[Item]) -> None:
        """See Engine."""
        for item in items:
            job_input(item)

    def outcomes(self, waiting: Backlog, watcher: Watcher) -> Generator[Outcome, None, None]:
        """See Engine."""
        self._api.check()
        flights: dict[str, _Flight] = {}
        collecting: dict[futures.Future[Outcome], Item] = {}
        cancelled = threading.Event()
        pool = futures.ThreadPoolExecutor(_DOWNLOADS_AT_ONCE, thread_name_prefix="collect")
        try:
            while waiting or flights or collecting:
                while waiting and len(flights) < self._in_flight:
                    item = waiting.popleft()
                    watcher.started(item)
                    flight = self._posted(item)
                    flights[flight.job_id] = flight
                for flight in [f for f in flights.values() if f.next_s <= time.monotonic()]:
                    job = self._asked(flight, flights)
                    if job is None or not job.is_over:
                        _tell(flight, job, watcher)
                        continue
                    del flights[flight.job_id]
                    if _has_failed(job):
                        yield _failed(flight, job)
                    else:
                        work = pool.submit(self._collect, flight, job, cancelled)
                        collecting[work] = flight.item
                for work in self._collected(flights, collecting):
                    del collecting[work]
                    yield work.result()
        finally:
            cancelled.set()
            pool.shutdown(cancel_futures=True)
            self._cancel(list(flights))

    def _posted(self, item: Item, posts: int = 1) -> _Flight:
        job_id = self._api.post(job_input(item))
        now_s = time.monotonic()
        return _Flight(item, job_id, now_s, posts, next_s=now_s + self._polling.wait_s(1))

    def _asked(self, flight: _Flight, flights: dict[str, _Flight]) -> RemoteJob | None:
        """What has become of a job. None: it was lost, and is posted anew."""
        job = self._api.status(flight.job_id)
        flight.asked += 1
        flight.next_s = time.monotonic() + self._polling.wait_s(flight.asked + 1)
        if job is not None:
            return job
        if flight.posts >= MOST_POSTS:
            return RemoteJob("LOST", error=f"the endpoint lost the job {flight.posts} times")
        del flights[flight.job_id]
        again = self._posted(flight.item, flight.posts + 1)
        flights[again.job_id] = again
        return None

    def _collected(
        self, flights: Mapping[str, _Flight], collecting: Mapping[futures.Future[Outcome], Item]
    ) -> set[futures.Future[Outcome]]:
        """Wait until a job is to be asked for, or a result has been collected; those that have."""
        next_s = min((flight.next_s for flight in flights.values()), default=None)
        wait_s = None if next_s is None else max(next_s - time.monotonic(), 0.0)
        if collecting:
            return futures.wait(collecting, wait_s, futures.FIRST_COMPLETED).done
        time.sleep(wait_s or 0.0)
        return set()

    def _collect(self, flight: _Flight, job: RemoteJob, cancelled: threading.Event) -> Outcome:
        """Fetch the files of a result, if there is a place for them."""
        item, output = flight.item, job.output
        try:
            files = file_urls(item, output)
            if FileRole.OUTPUT not in files:
                raise JobError(f"the job {flight.job_id} is done and has no output_url")
            size_bytes = int(output.get("bytes") or 0)
            if self._target is not None:
                files, size_bytes = self._fetched(item, output, files, self._target, cancelled)
            return Outcome(
                item,
                Status.DONE,
                files,
                bytes=size_bytes,
                frames=int(output.get("frames") or 0),
                seconds=job.execution_seconds or time.monotonic() - flight.posted_s,
                model_version=str(output.get("model_version") or ""),
                warnings=tuple(map(str, [*output.get("warnings", ()), *_notes(output)])),
            )
        except StoppedError:
            raise
        except Exception as exc:
            return Outcome.failed(item, exc, job.execution_seconds)

    def _fetched(
        self,
        item: Item,
        output: Mapping[str, Any],
        urls: Mapping[FileRole, str],
        target: Target,
        cancelled: threading.Event,
    ) -> tuple[dict[FileRole, str], int]:
        """The files where they are now, and the size of the output."""
        paths, size_bytes = {}, 0
        with target.place(item) as place:
            for role, url in urls.items():
                path = place.with_name(file_name(item, role, output))
                size_bytes = download(url, path, self._limits, cancelled=cancelled).bytes
                paths[role] = path
            page = page_of(item, output)
            if page is not None:
                paths[FileRole.PAGE] = place.with_name(item.file_names[FileRole.PAGE])
                with part_file(paths[FileRole.PAGE]) as part:
                    part.path.write_text(page, encoding="utf-8")
                    part.publish(paths[FileRole.PAGE])
            return target.keep(paths, as_made(item, output), cancelled), size_bytes

    def _cancel(self, job_ids: Sequence[str]) -> None:
        """Cancel what is under way, as far as the endpoint can be reached."""

        def cancel(job_id: str) -> None:
            with suppress(RvmError):
                self._api.cancel(job_id)

        if job_ids:
            with futures.ThreadPoolExecutor(_CANCELS_AT_ONCE) as pool:
                list(pool.map(cancel, job_ids))


def _tell(flight: _Flight, job: RemoteJob | None, watcher: Watcher) -> None:
    """Pass on what a worker says of its work, as "Processing (40%)"."""
    found = _PROGRESS.fullmatch(job.output) if job and isinstance(job.output, str) else None
    if found is not None:
        unit = found[2].strip()
        watcher.moved(flight.item, int(found[1]), 100 if unit == "%" else None, unit)


def _has_failed(job: RemoteJob) -> bool:
    return job.status != "COMPLETED" or not isinstance(job.output, dict) or "error" in job.output


def _failed(flight: _Flight, job: RemoteJob) -> Outcome:
    sentence = printable(job.error) or f"the job {flight.job_id} ended as {job.status}"
    return Outcome.failed(flight.item, JobError(sentence), job.execution_seconds)


def _notes(output: Mapping[str, Any]) -> list[object]:
    return [output["note"]] if output.get("note") else []
