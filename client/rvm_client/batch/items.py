"""What a batch is made of, and what becomes of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from rvm_client.batch.pieces import Piece
from rvm_client.errors import RvmError
from rvm_client.options import MatteOptions, is_url
from rvm_client.output_types import FileRole
from rvm_client.split import SplitPlan
from rvm_client.wire import MODEL_NAME

_ID_CHARACTERS = 32


@dataclass(frozen=True)
class Item:
    """One video of a batch. It is small, and may travel to another machine."""

    source: str
    """A file or URL."""
    options: MatteOptions
    background: str | None = None
    """The file or URL of what stands behind the person, in place of `options.background`."""
    preview: bool = False
    """Also write a picture."""
    name: str = ""
    """What its files are called, without a suffix; given once all items are known."""
    key: str = ""
    """Tells its result from all others; given before anything is done."""
    model_name: str = ""
    """The model that mattes it; given with the key."""
    piece: Piece | None = None
    """What of it is to be done; None: all, in one go."""

    @property
    def file_names(self) -> Mapping[FileRole, str]:
        """The files that it is going to have."""
        kind = self.options.output_type
        previews = (FileRole.PREVIEW,) if self.preview else ()
        roles = (*kind.facts.roles, *previews)
        return {role: f"{self.name}{kind.ending(role)}" for role in roles}

    @property
    def source_id(self) -> str:
        """Tells its place from all others; a URL's secrets cannot be read in it."""
        place = self.source if is_url(self.source) else str(Path(self.source).resolve())
        return _digest(place)

    @property
    def options_id(self) -> str:
        """Tells what is asked for."""
        wishes = asdict(self.options) | {"preview": self.preview}
        return _digest([wishes, None if self.background is None else _identity(self.background)])

    def with_key(self, model: "ServedModel") -> "Item":
        """The same with a key: of the source as it is now, the options and the model."""
        parts = [_identity(self.source), self.options_id, model.name, model.version]
        return replace(self, key=_digest(parts), model_name=model.name)


@dataclass(frozen=True)
class ServedModel:
    """The model that mattes, by the name that results keep of it."""

    version: str
    name: str = MODEL_NAME


class Status(str, Enum):
    """What became of an item."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It was done before."""


@dataclass(frozen=True)
class Outcome:
    """What became of one item."""

    item: Item
    status: Status
    files: Mapping[FileRole, str] = field(default_factory=dict)
    """Where they are: a path, or a URL without secrets."""
    bytes: int = 0
    """The size of the file with the role `output`."""
    frames: int = 0
    seconds: float = 0.0
    model_version: str = ""
    error_class: str = ""
    error: str = ""
    """One sentence."""
    warnings: tuple[str, ...] = ()
    plan: SplitPlan | None = None
    """Where it is to be split; it is not done yet."""
    segments: int = 1
    """It was made in so many."""
    segments_made_again: int = 0

    @classmethod
    def failed(cls, item: Item, exc: Exception, seconds: float = 0.0) -> "Outcome":
        """A failure: our sentence, or for what is none of ours, only what it is."""
        name = type(exc).__name__
        ours = isinstance(exc, RvmError)
        sentence = str(exc) if ours else f"an internal error ({name}) stopped this video"
        return cls(item, Status.FAILED, seconds=seconds, error_class=name, error=sentence)


def _identity(source: str) -> list[object]:
    """What changes when a source changes: a URL itself, or path, size and time of a file."""
    if is_url(source):
        return [source]
    path = Path(source).resolve()
    try:
        facts = path.stat()
    except OSError:
        return [str(path)]
    return [str(path), facts.st_size, facts.st_mtime_ns]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_CHARACTERS]
