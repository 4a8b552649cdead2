"""`report.jsonl`: a line for each item as it ends, which the next run reads."""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rvm_client.batch.items import Item, Outcome, Status
from rvm_client.closing import Closing
from rvm_client.errors import OutputError, UsageError
from rvm_client.net import redacted_url
from rvm_client.options import is_url
from rvm_client.output_types import FileRole


@dataclass(frozen=True)
class DoneBefore:
    """What a line tells of an item that was done."""

    key: str
    source_id: str
    files: Mapping[FileRole, str]
    bytes: int
    frames: int
    model_version: str


class Report(Closing):
    """The report, open for one run at a time.

    A line goes to the disk before the next item counts as done. What a killed run left unfinished
    of a line is passed over.

    Args:
        path: the file, which need not exist; its folder is made.

    Raises:
        OutputError: it cannot be written.
        UsageError: another run is writing it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        except OSError as exc:
            raise OutputError(f"the report {path} cannot be written: {exc.strerror}") from exc
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            self._file.close()
            raise UsageError(f"another run writes the report {path}; wait for it") from exc
        except OSError:
            pass  # a file system without locks
        self._done = self._read()

    def close(self) -> None:
        """Let others write it."""
        self._file.close()

    @property
    def taken(self) -> dict[str, str]:
        """The names of the files of earlier results, and the id of the source of each."""
        return {
            Path(file).name: done.source_id
            for done in self._done.values()
            for file in done.files.values()
        }

    def done_before(self, item: Item) -> DoneBefore | None:
        """What is known of the item's result, if nothing else has taken its place since."""
        return next((done for done in self._done.values() if done.key == item.key), None)

    def write(self, outcome: Outcome) -> None:
        """Append a line.

        Raises:
            OutputError: it cannot be written.
        """
        line = json.dumps(self._line(outcome), ensure_ascii=False).encode() + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as exc:
            raise OutputError(f"the report {self.path} cannot be written: {exc.strerror}") from exc

    def _line(self, outcome: Outcome) -> dict[str, Any]:
        item, files = outcome.item, outcome.files
        return {
            "source": redacted_url(item.source) if is_url(item.source) else item.source,
            "output": files.get(FileRole.OUTPUT),
            "status": outcome.status.value,
            "error_class": outcome.error_class or None,
            "error": outcome.error or None,
            "frames": outcome.frames,
            "bytes": outcome.bytes,
            "seconds": round(outcome.seconds, 3),
            "model": item.model_name,
            "model_version": outcome.model_version or None,
            "segments": outcome.segments,
            "segments_made_again": outcome.segments_made_again,
            "warnings": list(outcome.warnings),
            "files": {role.value: file for role, file in files.items()},
            "key": item.key,
            "source_id": item.source_id,
            "options_id": item.options_id,
            "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _read(self) -> dict[str, DoneBefore]:
        """What was done, by the output's name: of two results in one place the later counts."""
        self._file.seek(0)
        content = self._file.read()
        if content and not content.endswith(b"\n"):
            # Of a run that was killed while it wrote.
            self._file.write(b"\n")
        done: dict[str, DoneBefore] = {}
        for line in content.splitlines():
            entry = _entry(line)
            if entry is not None:
                done[Path(entry.files[FileRole.OUTPUT]).name] = entry
        return done


def _entry(line: bytes) -> DoneBefore | None:
    """What a line says, if it is of an item that was done."""
    try:
        row = json.loads(line)
        if row["status"] != Status.DONE.value:
            return None
        files = {FileRole(role): str(file) for role, file in row["files"].items()}
        _ = files[FileRole.OUTPUT]
        return DoneBefore(
            str(row["key"]),
            str(row["source_id"]),
            files,
            int(row["bytes"]),
            int(row["frames"]),
            str(row["model_version"] or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
