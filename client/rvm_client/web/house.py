"""What the routes share, and its life from start to end."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool

from rvm_client.web.book import Book
from rvm_client.web.events import Hub
from rvm_client.web.folders import Folders
from rvm_client.web.guard import COOKIE_SECONDS, Door
from rvm_client.web.records import Job, Record, Video
from rvm_client.web.refusals import RefusedError
from rvm_client.web.settings import PageOptions
from rvm_client.web.uploads import Uploads
from rvm_client.web.workshop import Workshop

_SWEEP_S = 20.0


class House:
    """All that one page has."""

    def __init__(self, options: PageOptions) -> None:
        self.options = options
        self.hub = Hub()
        self.folders = Folders(options.state)
        self.book = Book(options.state / "page.sqlite3", self._on_change)
        self.uploads = Uploads(options.limits)
        self.workshop = Workshop(options, self.book, self.folders, self._on_places)
        self.door = None if options.password is None else Door(options.password.get_secret_value())

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Begin the work when the page is served, and end it after."""
        self.hub.open()
        self.folders.sweep(self.book.videos())
        self.workshop.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._sweep)
            yield
            tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(self.workshop.close)
        self.book.close()

    async def _sweep(self) -> None:
        """Let go what nobody did anything with for a while."""
        while True:
            now = time.time()
            for video in self.book.videos():
                is_at_work = any(not job.is_over for job in self.book.jobs(video.id))
                if not is_at_work and video.touched_at + self.options.keep_seconds < now:
                    await self.uploads.stop(self.folders.of(video))
                    await run_in_threadpool(self.workshop.remove, video)
            self.book.forget_sessions(now - COOKIE_SECONDS)
            await anyio.sleep(min(_SWEEP_S, self.options.keep_seconds / 4))

    def check_room(self, size_bytes: int) -> None:
        """Raises: RefusedError: a file of that size may not, or cannot, come."""
        limits = self.options.limits
        if size_bytes > limits.upload_bytes:
            raise RefusedError(
                413, f"the file has {size_bytes} bytes; at most {limits.upload_bytes} are allowed"
            )
        coming = sum(
            (video.total_bytes or 0) - video.received_bytes
            for video in self.book.videos()
            if video.state in ("uploading", "fetching")
        )
        if self.folders.free_bytes() - coming - size_bytes < limits.free_bytes:
            raise RefusedError(507, "the disk has no room for this file; try again later")

    def shown(self, video: Video) -> dict[str, Any]:
        """A video as the page sees it."""
        return video.shown(self.book.jobs(video.id), self.places(), self.options.keep_seconds)

    def places(self) -> dict[str, int]:
        """The places of jobs that wait."""
        return self.workshop.matting.places()

    def machine(self) -> dict[str, Any]:
        """The machine as the page sees it."""
        return asdict(self.workshop.workplace.machine) | {"queued": len(self.places())}

    def files(self, video: Video) -> dict[str, tuple[str, str]]:
        """The media type and the name for people of each file that may be read."""
        stem = Path(video.name).stem or "video"
        found: dict[str, tuple[str, str]] = {}
        if video.source_file == "source" and video.source_type is not None:
            found["source"] = (video.source_type, video.name)
        elif video.source_file is not None:
            found[video.source_file] = ("video/mp4", f"{stem}-reduced.mp4")
        if video.poster_file is not None:
            found[video.poster_file] = ("image/jpeg", f"{stem}.jpg")
        jobs = self.book.jobs(video.id)
        for look in (video.preview, *(job.look for job in jobs)):
            for file in (look.look_file, look.source_file) if look is not None else ():
                if file is not None and file not in found:
                    kind = "video/webm" if file.endswith(".webm") else "video/mp4"
                    found[file] = (kind, f"{stem}-{file}")
        for made in (made for job in jobs for made in job.files):
            found[made.file] = (made.content_type, made.name)
        return found

    def _on_change(self, record: Record | None, session: str, record_id: str) -> None:
        if isinstance(record, Video):
            self.hub.publish(session, "video", record_id, self.shown(record))
        elif isinstance(record, Job):
            shown = record.shown(self.places().get(record_id, 0))
            self.hub.publish(session, "job", record_id, shown)
        else:
            self.hub.publish(session, "gone", record_id, {"id": record_id})

    def _on_places(self) -> None:
        self.hub.publish(None, "machine", "", self.machine())
        for job_id, place in self.places().items():
            job = self.book.job(job_id)
            if job is not None:
                self.hub.publish(job.session, "job", job_id, job.shown(place))
