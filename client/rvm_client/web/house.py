"""What the routes share, and its life from start to end."""

import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from rvm_client.errors import ConfigError
from rvm_client.web.book import Book
from rvm_client.web.database import Database, Measures, Sessions
from rvm_client.web.door import COOKIE_SECONDS, Door
from rvm_client.web.events import Hub
from rvm_client.web.folders import SOURCE_NAME, Folders
from rvm_client.web.records import Job, Record, Video
from rvm_client.web.refusals import RefusedError, not_found
from rvm_client.web.settings import PageOptions
from rvm_client.web.uploads import Uploads
from rvm_client.web.workshop import Workshop

_SWEEP_S, _SHORTEST_SWEEP_S = 20.0, 0.25
_DATABASE_NAME = "page.sqlite3"
_LOCK_NAME = "lock"


@dataclass(frozen=True)
class KnownFile:
    """A file that may be read."""

    content_type: str
    name: str
    """For people who download it."""


class House:
    """All that one page has."""

    def __init__(self, options: PageOptions, database: Database) -> None:
        self.options = options
        self.hub = Hub()
        self.folders = Folders(options.state)
        self.measures = Measures(database)
        self.book = Book(database, self._on_change)
        self.uploads = Uploads(options.limits)
        self.door = Door(options, Sessions(database))
        self.workshop = Workshop(options, self.book, self.measures, self.folders, self._on_places)
        self._sessions = Sessions(database)

    @classmethod
    @contextmanager
    def opened(cls, options: PageOptions) -> Iterator["House"]:
        """The page of a state folder, which nobody else has meanwhile.

        Raises:
            ConfigError: the folder cannot be used, or another process has it.
        """
        try:
            options.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(options.state / _LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as exc:
            raise ConfigError(
                f"files cannot be kept in {options.state} ({exc.strerror}); name another folder "
                "with --state"
            ) from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with Database(options.state / _DATABASE_NAME) as database:
                yield cls(options, database)
        except BlockingIOError as exc:
            raise ConfigError(
                f"another page has the folder {options.state}; stop it, or name another folder "
                "with --state"
            ) from exc
        finally:
            os.close(lock)

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

    async def _sweep(self) -> None:
        """Let go what nobody did anything with for a while."""
        while True:
            now = time.time()
            for video in self.book.videos():
                is_at_work = any(not job.is_over for job in self.book.jobs(video.id))
                if not is_at_work and video.touched_at + self.options.keep_seconds < now:
                    await self.remove(video)
            owners = {video.session for video in self.book.videos()}
            self._sessions.forget(now - COOKIE_SECONDS, owners)
            await anyio.sleep(min(_SWEEP_S, max(_SHORTEST_SWEEP_S, self.options.keep_seconds / 4)))

    async def remove(self, video: Video) -> None:
        """Stop all work on a video; its files go."""
        await self.uploads.stop(self.folders.of(video))
        await run_in_threadpool(self.workshop.remove, video)

    def own_video(self, request: Request) -> Video:
        """The video that a request names, if it is its session's.

        Raises:
            RefusedError: it is not.
        """
        session = self.door.session(request)
        video = self.book.video(request.path_params["video_id"])
        if video is None or video.session != session:
            raise not_found()
        return video

    def check_room(self, size_bytes: int) -> None:
        """Raises: RefusedError: a file of that size may not, or cannot, come."""
        limits = self.options.limits
        if size_bytes > limits.upload_bytes:
            raise RefusedError(
                413, f"the file has {size_bytes} bytes; at most {limits.upload_bytes} are allowed"
            )
        coming = sum(
            (video.total_bytes or limits.upload_bytes) - video.received_bytes
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
        return self.workshop.mattes.jobs.places()

    def machine(self) -> dict[str, Any]:
        """The machine as the page sees it."""
        return asdict(self.workshop.workplace.machine) | {"queued": len(self.places())}

    def files(self, video: Video) -> dict[str, KnownFile]:
        """The files of a video that may be read, by what they are called in its folder."""
        stem = Path(video.name).stem or "video"
        found: dict[str, KnownFile] = {}
        if video.poster_file is not None:
            found[video.poster_file] = KnownFile("image/jpeg", f"{stem}.jpg")
        if video.source_file is not None:
            found[video.source_file] = KnownFile("video/mp4", f"{stem}-reduced.mp4")
        if video.source_type is not None:
            found[SOURCE_NAME] = KnownFile(video.source_type, video.name)
        jobs = self.book.jobs(video.id)
        for look in filter(None, (video.preview, *(job.look for job in jobs))):
            for file in filter(None, (look.look_file, look.source_file)):
                kind = "video/webm" if file.endswith(".webm") else "video/mp4"
                found[file] = KnownFile(kind, f"{stem}-{file}")
        for made in (made for job in jobs for made in job.files):
            found[made.file] = KnownFile(made.content_type, made.name)
        return found

    def _on_change(self, record: Record | None, session: str, record_id: str) -> None:
        if isinstance(record, Video):
            self.hub.publish(session, "video", record_id, self.shown(record))
        elif isinstance(record, Job):
            self._publish(record, self.places().get(record_id, 0))
        else:
            self.hub.publish(session, "gone", record_id, {"id": record_id})

    def _on_places(self) -> None:
        self.hub.publish(None, "machine", "", self.machine())
        for job_id, place in self.places().items():
            job = self.book.job(job_id)
            if job is not None:
                self._publish(job, place)

    def _publish(self, job: Job, place: int) -> None:
        video = self.book.video(job.video_id)
        if video is not None:
            self.hub.publish(job.session, "job", job.id, job.shown(video, place))
