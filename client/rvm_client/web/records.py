"""What is known of videos, jobs and looks: frozen records, kept as JSON and shown to the page."""

import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

LookKind = Literal["webm", "stacked"]
"""What a browser can show: a WebM with alpha, or an MP4 with colour above and alpha below."""
VideoState = Literal["uploading", "fetching", "ready", "failed"]
WorkState = Literal["queued", "working", "done", "failed", "cancelled"]


class Record(BaseModel):
    """A frozen record."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Look(Record):
    """A file to look at, and the same frames before."""

    state: WorkState = "queued"
    error: str | None = None
    kind: LookKind = "webm"
    look_file: str | None = None
    source_file: str | None = None
    """None: what a browser plays of the video itself."""
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    frames: int | None = None

    def shown(self, video: "Video") -> dict[str, Any]:
        """As the page sees it."""
        return self.model_dump(exclude={"look_file", "source_file"}) | {
            "look_url": file_url(video.id, self.look_file),
            "source_url": file_url(video.id, self.source_file or video.source_file),
        }


class MadeFile(Record):
    """A file of a result."""

    output_type: str
    role: str
    name: str
    """What it is called when it is downloaded."""
    file: str
    """What it is called in the folder of its video."""
    bytes: int
    content_type: str
    width: int
    height: int

    def shown(self, video: "Video") -> dict[str, Any]:
        """As the page sees it."""
        return self.model_dump(exclude={"file"}) | {"url": file_url(video.id, self.file)}


class Video(Record):
    """A source, and what was found out about it."""

    id: str
    session: str
    name: str
    state: VideoState
    url: str | None = None
    """Where it is fetched from; forgotten when it is there."""
    total_bytes: int | None = None
    received_bytes: int = 0
    error: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    frames: int | None = None
    duration_seconds: float | None = None
    has_sound: bool | None = None
    source_file: str | None = None
    """What a browser plays."""
    source_type: str | None = None
    """The media type of the file as it came, if a browser plays it."""
    poster_file: str | None = None
    preview: Look | None = None
    look_kind: LookKind = "webm"
    """What its browser can show."""
    backgrounds: tuple[str, ...] = ()
    """The ids of pictures and videos that may stand behind the person."""
    created_at: float = Field(default_factory=time.time)
    touched_at: float = Field(default_factory=time.time)
    """When somebody last did something with it, or with a job of it."""

    def shown(self, jobs: "list[Job]", places: dict[str, int], keep_s: float) -> dict[str, Any]:
        """As the page sees it, with its jobs and their places in the queue."""
        return self.model_dump(include=_SHOWN_OF_VIDEOS) | {
            "source_url": file_url(self.id, self.source_file),
            "poster_url": file_url(self.id, self.poster_file),
            "preview": self.preview and self.preview.shown(self),
            "jobs": [job.shown(self, places.get(job.id, 0)) for job in jobs],
            "expires_at": self.touched_at + keep_s,
        }


_SHOWN_OF_VIDEOS = {
    *("id", "name", "state", "received_bytes", "total_bytes", "error", "width", "height"),
    *("fps", "frames", "duration_seconds", "has_sound"),
}


class Job(Record):
    """One inference, and the files that it makes."""

    id: str
    video_id: str
    session: str
    state: WorkState = "queued"
    doing: str = ""
    frames_done: int = 0
    frames_expected: int | None = None
    fps: float | None = None
    seconds_left: float | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    fields: dict[str, Any] = Field(default_factory=dict)
    output_types: tuple[str, ...] = ()
    look_kind: LookKind = "webm"
    look: Look | None = None
    files: tuple[MadeFile, ...] = ()
    created_at: float = Field(default_factory=time.time)

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ("done", "failed", "cancelled")

    def shown(self, video: Video, place: int) -> dict[str, Any]:
        """As the page sees it."""
        return self.model_dump(exclude={"session", "look", "look_kind", "files"}) | {
            "place": place,
            "look": self.look and self.look.shown(video),
            "files": [file.shown(video) for file in self.files],
        }


def file_url(video_id: str, file: str | None) -> str | None:
    """Where the page finds a file in the folder of a video; relative to the page."""
    return None if file is None else f"files/{video_id}/{file}"
