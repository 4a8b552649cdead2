"""All videos, jobs and sessions: in memory, and in SQLite so that they outlive the process."""

import hashlib
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rvm_client.closing import Closing
from rvm_client.web.records import Job, Record, Video

_SCHEMA = """
create table if not exists sessions (
    id text primary key, token_sha256 text unique not null, seen_at real not null
);
create table if not exists videos (id text primary key, record text not null);
create table if not exists jobs (id text primary key, record text not null);
create table if not exists measures (
    kind text primary key, seconds_per_unit real not null, bytes_per_unit text not null,
    times integer not null
);
"""
_SEEN_STEP_S = 60.0

OnChange = Callable[[Record | None, str, str], None]
"""Gets a record that has changed, or None where it is gone; its session and its id."""


def new_id() -> str:
    """An id that nobody guesses."""
    return secrets.token_urlsafe(16)


class Book(Closing):
    """What is known. For several threads.

    Args:
        path: of the database, which is made.
        on_change: called after each change, outside of any lock.
    """

    def __init__(self, path: Path, on_change: OnChange = lambda *_: None) -> None:
        self._on_change = on_change
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("pragma journal_mode=wal")
        self._database.execute("pragma synchronous=normal")
        self._database.executescript(_SCHEMA)
        self._videos = {v.id: v for v in self._read("videos", Video)}
        self._jobs = {j.id: j for j in self._read("jobs", Job)}

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    # Sessions.

    def new_session(self) -> tuple[str, str]:
        """A new session's id, and the token that its browser shows."""
        session, token = new_id(), secrets.token_urlsafe(32)
        with self._lock:
            self._database.execute(
                "insert into sessions values (?, ?, ?)", (session, _digest(token), time.time())
            )
        return session, token

    def session_of(self, token: str) -> str | None:
        """The session whose browser shows `token`."""
        now = time.time()
        with self._lock:
            row = self._database.execute(
                "select id, seen_at from sessions where token_sha256 = ?", (_digest(token),)
            ).fetchone()
            if row is not None and now - row[1] > _SEEN_STEP_S:
                self._database.execute("update sessions set seen_at=? where id=?", (now, row[0]))
        return None if row is None else str(row[0])

    def session_count(self) -> int:
        """How many there are."""
        with self._lock:
            return int(self._database.execute("select count(*) from sessions").fetchone()[0])

    def forget_sessions(self, unseen_since: float) -> None:
        """Forget those that have not been seen since, and have nothing here."""
        with self._lock:
            kept = {video.session for video in self._videos.values()}
            rows = self._database.execute(
                "select id from sessions where seen_at < ?", (unseen_since,)
            ).fetchall()
            gone = [(row[0],) for row in rows if row[0] not in kept]
            self._database.executemany("delete from sessions where id = ?", gone)

    # Videos and jobs.

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

    def job(self, job_id: str) -> Job | None:
        """One of them."""
        with self._lock:
            return self._jobs.get(job_id)

    def add_video(self, video: Video) -> None:
        """Keep a new one."""
        self._keep_video(video)

    def change_video(self, video_id: str, *, kept: bool = True, **changes: Any) -> Video | None:
        """Change some of a video. None: it is gone.

        `kept` is False for what changes often and need not outlive the process.
        """
        with self._lock:
            video = self._videos.get(video_id)
            if video is None:
                return None
            changed: Video = video.model_copy(update=changes)
            self._keep_video(changed, kept=kept)
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
            self._database.execute("delete from videos where id = ?", (video_id,))
        if video is not None:
            self._on_change(None, video.session, video_id)

    def add_job(self, job: Job) -> None:
        """Keep a new one."""
        self._keep_job(job)

    def change_job(self, job_id: str, *, kept: bool = True, **changes: Any) -> Job | None:
        """As `change_video`."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                return None
            changed: Job = job.model_copy(update=changes)
            self._keep_job(changed, kept=kept)
        return changed

    def remove_job(self, job_id: str) -> None:
        """Forget it."""
        with self._lock:
            job = self._jobs.pop(job_id, None)
            self._database.execute("delete from jobs where id = ?", (job_id,))
        if job is not None:
            self._on_change(None, job.session, job_id)

    def _keep_video(self, video: Video, *, kept: bool = True) -> None:
        with self._lock:
            self._videos[video.id] = video
            if kept:
                self._write("videos", video.id, video)
        self._on_change(video, video.session, video.id)

    def _keep_job(self, job: Job, *, kept: bool = True) -> None:
        with self._lock:
            self._jobs[job.id] = job
            if kept:
                self._write("jobs", job.id, job)
        self._on_change(job, job.session, job.id)

    # Measures.

    def measure(self, kind: str) -> tuple[float, dict[str, float], int] | None:
        """Seconds and bytes of each type for a unit of such work, and how often it was measured."""
        with self._lock:
            row = self._database.execute(
                "select seconds_per_unit, bytes_per_unit, times from measures where kind = ?",
                (kind,),
            ).fetchone()
        return None if row is None else (float(row[0]), json.loads(row[1]), int(row[2]))

    def note_measure(
        self, kind: str, seconds_per_unit: float, bytes_per_unit: dict[str, float], times: int
    ) -> None:
        """Keep a measure, in place of the one before."""
        row = (kind, seconds_per_unit, json.dumps(bytes_per_unit), times)
        with self._lock:
            self._database.execute("insert or replace into measures values (?, ?, ?, ?)", row)

    def _read(self, table: str, kind: type[Any]) -> list[Any]:
        rows = self._database.execute(f"select record from {table}").fetchall()
        return [kind.model_validate_json(row[0]) for row in rows]

    def _write(self, table: str, key: str, record: Record) -> None:
        self._database.execute(
            f"insert or replace into {table} values (?, ?)", (key, record.model_dump_json())
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
