"""The fields of a job that say what is done to its mattes."""

from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from rvm_client.alpha_edges import Edges
from rvm_client.subject import Box, Key, Outline, Region, Subject, parse_exclude

# JSON's true is no number, nor is "0.5".
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
BoxField = tuple[Number, Number, Number, Number]
Points = tuple[tuple[Number, Number], ...]


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Place(_Fields):
    """A box or a polygon, in fractions of the picture."""

    box: BoxField | None = None
    """Left, top, right, bottom."""
    polygon: Points | None = None
    """x and y of each corner."""

    @property
    def outline(self) -> Outline | None:
        """The one that is given.

        Raises:
            UsageError: it is none, or reaches out of the picture.
        """
        if self.box is not None:
            return Outline(self.box, is_box=True)
        if self.polygon is not None:
            return Outline(tuple(x for point in self.polygon for x in point), is_box=False)
        return None


class KeyFields(_Place):
    """Where a region is at one time."""

    seconds: Number

    @model_validator(mode="after")
    def _has_one_place(self) -> "KeyFields":
        if (self.box is None) == (self.polygon is None):
            raise PydanticCustomError("one_place", "not one of box and polygon")
        return self


class SubjectFields(_Place):
    """`subject` as an object."""

    keep: Literal["all", "largest"] = "all"
    keys: tuple[KeyFields, ...] | None = None

    @model_validator(mode="after")
    def _has_one_place_at_most(self) -> "SubjectFields":
        if sum(place is not None for place in (self.box, self.polygon, self.keys)) > 1:
            raise PydanticCustomError("one_place", "several of box, polygon and keys")
        return self

    def subject(self, exclude: tuple[Box, ...]) -> Subject:
        """What is kept.

        Raises:
            UsageError: it cannot be.
        """
        keys = [Key(key.seconds, key.outline) for key in self.keys or () if key.outline]
        if self.outline is not None:
            keys = [Key(0, self.outline)]
        has_region = bool(keys) or self.keys is not None
        region = Region(tuple(keys)) if has_region else None
        return Subject(self.keep == "largest", region, exclude)

    @classmethod
    def of(cls, subject: Subject) -> "SubjectFields":
        """The same as fields, but for what is excluded."""
        keys = None
        if subject.region is not None:
            keys = tuple(_key_fields(key) for key in subject.region.keys)
        return cls(keep="largest" if subject.largest else "all", keys=keys)


class EdgesFields(_Fields):
    """`edges`."""

    shrink_pixels: Number = Edges.shrink_pixels
    feather_pixels: Number = Edges.feather_pixels
    despill: Number = Edges.despill
    levels: tuple[Number, Number] = Edges.levels

    @property
    def edges(self) -> Edges:
        """The edge.

        Raises:
            UsageError: a number is out of its bounds.
        """
        return Edges(self.shrink_pixels, self.feather_pixels, self.despill, self.levels)


def _key_fields(key: Key) -> KeyFields:
    points = key.outline.points
    if key.outline.is_box:
        left, top, right, bottom = points
        return KeyFields(seconds=key.seconds, box=(left, top, right, bottom))
    corners = tuple(zip(points[::2], points[1::2], strict=True))
    return KeyFields(seconds=key.seconds, polygon=corners)


def _subject_of_text(value: object) -> object:
    return SubjectFields.of(Subject.parse(value)) if isinstance(value, str) else value


def _edges_of_text(value: object) -> object:
    return EdgesFields(**asdict(Edges.parse(value))) if isinstance(value, str) else value


def _boxes_of_text(value: object) -> object:
    return parse_exclude(value) if isinstance(value, str) else value


SubjectField = Annotated[SubjectFields, BeforeValidator(_subject_of_text)]
ExcludeField = Annotated[tuple[BoxField, ...], BeforeValidator(_boxes_of_text)]
EdgesField = Annotated[EdgesFields, BeforeValidator(_edges_of_text)]
# The objects within a job, by the field that has them.
NESTED: dict[str, type[BaseModel]] = {
    "subject": SubjectFields,
    "keys": KeyFields,
    "edges": EdgesFields,
}
# What each field allows, as the error message says it.
ALLOWED = {
    "subject": "a text such as largest or box:0.1,0,0.6,1, or an object with keep and one of box, "
    "polygon and keys",
    "keep": "all or largest",
    "box": "a list of left, top, right and bottom, 0 to 1",
    "polygon": "a list of points [x, y], 0 to 1",
    "keys": "a list of objects with seconds, and box or polygon",
    "seconds": "a number of seconds",
    "exclude": "a list of boxes [left, top, right, bottom], 0 to 1",
    "edges": "a text such as shrink=1,feather=2, or an object with some of shrink_pixels, "
    "feather_pixels, despill and levels",
    "shrink_pixels": "a number of pixels",
    "feather_pixels": "a number of pixels",
    "despill": "a number of 0 to 1",
    "levels": "a list of black and white point, 0 to 1",
}
