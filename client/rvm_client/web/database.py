"""The SQLite file of the page: who is there, and what work takes on this machine."""

import hashlib
import json
import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from rvm_client.closing import Closing

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


def new_id() -> str:
    """An id that nobody guesses."""
    return secrets.token_urlsafe(16)


class Database(Closing):
    """One connection for all threads, one at a time."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.do("pragma journal_mode=wal")
        # What a power failure takes is the last few changes, never the file.
        self.do("pragma synchronous=normal")
        self._connection.executescript(_SCHEMA)

    def do(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Run a statement; returns its rows."""
        with self.lock:
            return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()


class Sessions:
    """Browsers, each known by a token that only its hash is kept of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def new(self) -> str:
        """Begin one; returns the token that its browser is to show."""
        token = secrets.token_urlsafe(32)
        self._database.do(
            "insert into sessions values (?, ?, ?)", (new_id(), _digest(token), time.time())
        )
        return token

    def of(self, token: str) -> str | None:
        """The id of the session whose browser shows `token`."""
        now = time.time()
        rows = self._database.do(
            "select id, seen_at from sessions where token_sha256 = ?", (_digest(token),)
        )
        if not rows:
            return None
        session, seen_at = str(rows[0][0]), rows[0][1]
        if isinstance(seen_at, float) and now - seen_at > _SEEN_STEP_S:
            self._database.do("update sessions set seen_at = ? where id = ?", (now, session))
        return session

    def count(self) -> int:
        """How many there are."""
        return len(self._database.do("select id from sessions"))

    def forget(self, unseen_since: float, kept: set[str]) -> None:
        """Forget those that have not been seen since, but for `kept`."""
        rows = self._database.do("select id from sessions where seen_at < ?", (unseen_since,))
        for (session,) in rows:
            if session not in kept:
                self._database.do("delete from sessions where id = ?", (session,))


@dataclass(frozen=True)
class Measure:
    """What work of one kind took on this machine, for a million pixels of output."""

    seconds_per_unit: float
    bytes_per_unit: dict[str, float]
    """By type of output."""
    times: int = 1
    """How often it was measured."""


class Measures:
    """What is known of earlier work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, kind: str) -> Measure | None:
        """Of one kind of work."""
        return self.all().get(kind)

    def all(self) -> dict[str, Measure]:
        """Of all kinds."""
        rows = self._database.do("select * from measures")
        return {
            str(kind): Measure(float(str(seconds)), json.loads(str(sizes)), int(str(times)))
            for kind, seconds, sizes, times in rows
        }

    def note(self, kind: str, measure: Measure) -> None:
        """Keep a measure, in place of the one before."""
        self._database.do(
            "insert or replace into measures values (?, ?, ?, ?)",
            (kind, measure.seconds_per_unit, json.dumps(measure.bytes_per_unit), measure.times),
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
