"""All videos and jobs: in memory, and in the database so that they outlive the process."""

import time
from collections.abc import Callable
from typing import Any

from rvm_client.web.database import Database
from rvm_client.web.records import Job, Record, Video

OnChange = Callable[[Record | None, str, str], None]
"""Gets a record that has changed, or None where it is gone; its session and its id."""


class Book:
    """What is known. For several threads.

    Args:
        database: where it is kept.
        on_change: called after each change, outside of any lock.
    """

    def __init__(self, database: Database, on_change: OnChange = lambda *_: None) -> None:
        self._database, self._on_change = database, on_change
        self._lock = database.lock
        videos = database.do("select record from videos")
        jobs = database.do("select record from jobs")
        self._videos = {v.id: v for v in (Video.model_validate_json(str(r[0])) for r in videos)}
        self._jobs = {j.id: j for j in (Job.model_validate_json(str(r[0])) for r in jobs)}

    def videos(self, session: str | None = None) -> list[Video]:
        """Those of a session, or all; the oldest first."""
        with self._lock:
            found = [v for v in self._videos.values() if session in (None, v.session)]
        return sorted(found, key=lambda video: video.created_at)

    def video(self, video_id: str) -> Video | None:
        """One of them."""
        with self._lock:
            return self._videos.get(video_id)

    def jobs(self, video_id: str | None = None) -> list[Job]:
        """Those of a video, or all; the oldest first."""
        with self._lock:
            found = [j for j in self._jobs.values() if video_id in (None, j.video_id)]
        return sorted(found, key=lambda job: job.created_at)

    def unfinished(self, session: str) -> list[Job]:
        """The jobs of a session that are not over."""
        return [job for job in self.jobs() if job.session == session and not job.is_over]

    def job(self, job_id: str) -> Job | None:
        """One of them."""
        with self._lock:
            return self._jobs.get(job_id)

    def add_video(self, video: Video) -> None:
        """Keep a new one."""
        with self._lock:
            self._videos[video.id] = video
            self._write("videos", video.id, video)
        self._on_change(video, video.session, video.id)

    def change_video(self, video_id: str, *, kept: bool = True, **changes: Any) -> Video | None:
        """Change some of a video. None: it is gone.

        `kept` is False for what changes often and need not outlive the process.
        """
        with self._lock:
            video = self._videos.get(video_id)
            if video is None:
                return None
            changed: Video = video.model_copy(update=changes)
            self._videos[video_id] = changed
            if kept:
                self._write("videos", video_id, changed)
        self._on_change(changed, changed.session, video_id)
        return changed

    def touch(self, video_id: str) -> None:
        """Somebody did something with it."""
        self.change_video(video_id, touched_at=time.time())

    def remove_video(self, video_id: str) -> None:
        """Forget it and its jobs."""
        for job in self.jobs(video_id):
            self.remove_job(job.id)
        with self._lock:
            video = self._videos.pop(video_id, None)
            self._database.do("delete from videos where id = ?", (video_id,))
        if video is not None:
            self._on_change(None, video.session, video_id)

    def add_job(self, job: Job) -> None:
        """Keep a new one."""
        with self._lock:
            self._jobs[job.id] = job
            self._write("jobs", job.id, job)
        self._on_change(job, job.session, job.id)

    def change_job(self, job_id: str, *, kept: bool = True, **changes: Any) -> Job | None:
        """As `change_video`."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                return None
            changed: Job = job.model_copy(update=changes)
            self._jobs[job_id] = changed
            if kept:
                self._write("jobs", job_id, changed)
        self._on_change(changed, changed.session, job_id)
        return changed

    def remove_job(self, job_id: str) -> None:
        """Forget it."""
        with self._lock:
            job = self._jobs.pop(job_id, None)
            self._database.do("delete from jobs where id = ?", (job_id,))
        if job is not None:
            self._on_change(None, job.session, job_id)

    def _write(self, table: str, key: str, record: Record) -> None:
        self._database.do(
            f"insert or replace into {table} values (?, ?)", (key, record.model_dump_json())
        )
