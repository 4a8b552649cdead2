"""What an engine may be asked for of a long video, in place of all of it."""

from dataclasses import dataclass
from typing import TypeAlias

from rvm_client.options import Segment


@dataclass(frozen=True)
class Planning:
    """Say where to split it; one that is too short is done at once."""

    segment_seconds: float
    only_if_side_by_side: bool
    """Where one video is done at a time, splitting gains nothing."""


@dataclass(frozen=True)
class Making:
    """Make a segment."""

    folder: str
    """Has all of its segments, and is there for all machines."""
    number: int
    segment: Segment
    target: str
    continues: str | None
    """The segment whose last state it starts from."""


@dataclass(frozen=True)
class Joining:
    """Join the segments."""

    segments: tuple[str, ...]


Piece: TypeAlias = Planning | Making | Joining
