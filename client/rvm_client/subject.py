"""Who or what of a matte is kept, as it may be asked for."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rvm_client.errors import UsageError

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as fractions of the picture."""

SUBJECT_FORMS = (
    "all, largest, box:LEFT,TOP,RIGHT,BOTTOM or polygon:X,Y,X,Y,X,Y in fractions of the picture, "
    "with @SECONDS behind each of several that are joined by ;, or largest+ in front of them"
)
EXCLUDE_FORMS = "boxes LEFT,TOP,RIGHT,BOTTOM in fractions of the picture, joined by ;"
MOST_POINTS = 64
MOST_KEYS = 256
MOST_BOXES = 16

_BOX_NUMBERS = 4
_LEAST_POINTS = 3
_SHOWN_CHARACTERS = 80
_ALL, _LARGEST = "all", "largest"


@dataclass(frozen=True)
class Outline:
    """A box or a polygon.

    Raises:
        UsageError: it is none, or reaches out of the picture.
    """

    points: tuple[float, ...]
    """Left, top, right and bottom of a box; x and y of each corner of a polygon."""
    is_box: bool

    def __post_init__(self) -> None:
        if any(not 0 <= number <= 1 for number in self.points):
            raise UsageError(f"{self} reaches out of the picture; its numbers must be 0 to 1")
        if self.is_box:
            if len(self.points) != _BOX_NUMBERS:
                raise UsageError(f"{self} must have four numbers: left, top, right and bottom")
            left, top, right, bottom = self.points
            if not (left < right and top < bottom):
                raise UsageError(f"{self} is empty; left must be below right, and top below bottom")
        elif len(self.points) % 2 or not _LEAST_POINTS <= len(self.points) // 2 <= MOST_POINTS:
            raise UsageError(
                f"{self} must have an x and a y for each of {_LEAST_POINTS} to {MOST_POINTS} points"
            )

    def __str__(self) -> str:
        return f"{'box' if self.is_box else 'polygon'}:{numbers_text(self.points)}"


@dataclass(frozen=True)
class Key:
    """Where a region is at one time."""

    seconds: float
    """From the first frame of the source, as `start_seconds`."""
    outline: Outline


@dataclass(frozen=True)
class Region:
    """A part of the picture that may move: evenly from key to key, and not before nor after them.

    Raises:
        UsageError: the keys are not in order, or have outlines that do not fit each other.
    """

    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.keys) <= MOST_KEYS:
            raise UsageError(
                f"a region has {len(self.keys)} key times; it must have 1 to {MOST_KEYS}"
            )
        first = self.keys[0].outline
        for before, key in zip((None, *self.keys), self.keys, strict=False):
            if not 0 <= key.seconds < math.inf or (before and before.seconds >= key.seconds):
                raise UsageError(
                    f"the key time {key.seconds:g} s does not fit; key times must be at least 0 "
                    "and rise"
                )
            same = key.outline.is_box == first.is_box
            if not same or len(key.outline.points) != len(first.points):
                raise UsageError(
                    f"{key.outline} does not fit {first}; all key times must have a box, or "
                    "polygons of as many points"
                )

    @property
    def moves(self) -> bool:
        """It is not always in one place."""
        return any(key.outline != self.keys[0].outline for key in self.keys)

    def at(self, seconds: float) -> Outline:
        """Where it is at a time."""
        later = next((i for i, key in enumerate(self.keys) if key.seconds > seconds), None)
        if later is None or later == 0:
            return self.keys[0 if later == 0 else -1].outline
        one, other = self.keys[later - 1 : later + 1]
        share = (seconds - one.seconds) / (other.seconds - one.seconds)
        pairs = zip(one.outline.points, other.outline.points, strict=True)
        points = tuple((1 - share) * a + share * b for a, b in pairs)
        return Outline(points, one.outline.is_box)


@dataclass(frozen=True)
class Subject:
    """What is kept of all that the model takes for people; by default everything.

    Raises:
        UsageError: it cannot be.
    """

    largest: bool = False
    """Only the largest person over time, with all that is connected to it."""
    region: Region | None = None
    """Only what lies in there."""
    exclude: tuple[Box, ...] = ()
    """Nothing of what lies in these boxes."""

    def __post_init__(self) -> None:
        if len(self.exclude) > MOST_BOXES:
            raise UsageError(
                f"exclude has {len(self.exclude)} boxes; it must be {MOST_BOXES} at most"
            )
        for box in self.exclude:
            Outline(tuple(box), is_box=True)

    @classmethod
    def parse(cls, text: str, exclude: Sequence[Box] = ()) -> "Subject":
        """What a text means: see SUBJECT_FORMS.

        Raises:
            UsageError: nothing, or what cannot be.
        """
        given = text.strip()
        if given == _ALL:
            return cls(exclude=tuple(exclude))
        largest, _, rest = given.partition("+")
        if largest != _LARGEST:
            largest, rest = "", given
        region = _parse_region(rest, text) if rest or not largest else None
        return cls(bool(largest), region, tuple(exclude))

    @property
    def text(self) -> str:
        """It without what is excluded, as `parse` reads it."""
        region = "" if self.region is None else _region_text(self.region)
        kept = [_LARGEST] if self.largest else []
        return "+".join([*kept, *filter(None, [region])]) or _ALL


def parse_exclude(text: str) -> tuple[Box, ...]:
    """The boxes of a text: see EXCLUDE_FORMS.

    Raises:
        UsageError: it has others.
    """
    boxes = []
    for part in text.split(";"):
        numbers = _numbers(part)
        if numbers is None or len(numbers) != _BOX_NUMBERS:
            raise UsageError(f"exclude is {shown_text(text)}; it must be {EXCLUDE_FORMS}")
        left, top, right, bottom = numbers
        boxes.append((left, top, right, bottom))
    return tuple(boxes)


def exclude_text(boxes: Iterable[Box]) -> str:
    """Boxes as `parse_exclude` reads them."""
    return ";".join(map(numbers_text, boxes))


def shown_text(text: str) -> str:
    """A text in a message: cut short, and only where it cannot be a URL with a secret."""
    if not re.fullmatch(r"[\w.,:;@+= -]*", text):
        return "no such text"
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "...")


def numbers_text(numbers: Iterable[float]) -> str:
    """Numbers with commas."""
    return ",".join(f"{number:.10g}" for number in numbers)


def _region_text(region: Region) -> str:
    kind, _, first = str(region.keys[0].outline).partition(":")
    if len(region.keys) == 1 and not region.keys[0].seconds:
        return f"{kind}:{first}"
    keys = (f"{numbers_text(key.outline.points)}@{key.seconds:.10g}" for key in region.keys)
    return f"{kind}:{';'.join(keys)}"


def _parse_region(given: str, text: str) -> Region:
    kind, _, places = given.partition(":")
    if kind not in ("box", "polygon"):
        raise UsageError(f"subject is {shown_text(text)}; it must be {SUBJECT_FORMS}")
    keys = []
    parts = places.split(";")
    for part in parts:
        numbers, seconds = (_numbers(side) for side in (*part.split("@", 1), "0")[:2])
        timed = "@" in part or len(parts) == 1
        if numbers is None or seconds is None or len(seconds) != 1 or not timed:
            raise UsageError(f"subject is {shown_text(text)}; it must be {SUBJECT_FORMS}")
        keys.append(Key(seconds[0], Outline(tuple(numbers), kind == "box")))
    return Region(tuple(keys))


def _numbers(text: str) -> list[float] | None:
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", part) for part in parts):
        return None
    return [float(part) for part in parts]
