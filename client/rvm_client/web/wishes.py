"""What a user wishes of one inference, checked as a job's input is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rvm_client.errors import UsageError
from rvm_client.job import Job, parse_job
from rvm_client.options import Also, MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.web.folders import background_name
from rvm_client.web.records import LookKind

# Fields of a job that say where files come from and go, and what the page makes by itself.
_NOT_HERE = ("video_url", "output_type", "upload_url", "cloudinary_folder", "preview")
_ANY_URL = "https://example.com/video.mp4"
_FILE_MARK = "file:"
_LOOK_TYPES: dict[LookKind, OutputType] = {
    "webm": OutputType.ALPHA,
    "stacked": OutputType.ALPHA_STACKED,
}
# Of what a set consists that can be asked for on its own, too.
_PARTS = {OutputType.AUTO_WEB: (OutputType.ALPHA, OutputType.ALPHA_HEVC)}


@dataclass(frozen=True)
class Wish:
    """Types of output from one inference, and how."""

    fields: dict[str, Any]
    """As the user gave them."""
    output_types: tuple[OutputType, ...]
    """The first is the one that all fields are for."""
    background_id: str | None
    """What was uploaded to stand behind the person."""

    @property
    def has_set(self) -> bool:
        """Whether the set for a page is among the types."""
        return OutputType.AUTO_WEB in self.output_types

    @property
    def parts(self) -> tuple[OutputType, ...]:
        """The types that are encoded: each once, those of a set in its place."""
        kinds = (part for kind in self.output_types for part in _PARTS.get(kind, (kind,)))
        return tuple(dict.fromkeys(kinds))

    @property
    def background_url(self) -> str | None:
        """Where what stands behind the person is fetched from."""
        return self.job_of(self.output_types[0]).background_url

    def input_of(self, kind: OutputType) -> dict[str, Any]:
        """The input of a job of one of the types, with those fields that go with it."""
        given = {name: value for name, value in self.fields.items() if value is not None}
        if self.background_id is not None:
            del given["background"]
        if kind is not self.output_types[0]:
            # The others are of the quality that is usual for them; see `MatteOptions.alone`.
            given.pop("crf", None)
            given.pop("bitrate", None)
            if not kind.facts.takes_background:
                given.pop("background", None)
        return {**given, "video_url": _ANY_URL, "output_type": kind.value}

    def job_of(self, kind: OutputType) -> Job:
        """A job of one of the types.

        Raises:
            UsageError: one sentence.
        """
        return parse_job(self.input_of(kind))

    def options(self, folder: Path, also: Sequence[Also] = ()) -> MatteOptions:
        """Those of the first part, with files in `folder`, and of what is made beside.

        Raises:
            UsageError: they do not go together.
        """
        options = self.job_of(self.parts[0]).matte_options(folder)
        if self.background_id is not None:
            behind = folder / background_name(self.background_id)
            options = replace(options, background=behind)
        return replace(options, also=tuple(also))


def parse_wish(fields: object, output_types: object, backgrounds: Sequence[str] = ()) -> Wish:
    """Validate what the page sent.

    Args:
        fields: a job's fields, without what the page has no use for.
        output_types: names.
        backgrounds: the ids of what was uploaded to stand behind the person.

    Raises:
        UsageError: one sentence for beside the form.
    """
    if not isinstance(fields, dict):
        raise UsageError("fields must be an object")
    for name in _NOT_HERE:
        if name in fields:
            raise UsageError(f"there is no field {name!r} on the page; leave it out")
    background_id = _background_id(fields.get("background"), backgrounds)
    types = sorted(_parse_types(output_types), key=lambda kind: not _suits(kind, fields))
    wish = Wish(fields, tuple(types), background_id)
    for kind in types:
        wish.job_of(kind)
    wish.options(Path())
    return wish


def look_type(kind: LookKind) -> OutputType:
    """The type of output that a look is."""
    return _LOOK_TYPES[kind]


def _parse_types(names: object) -> list[OutputType]:
    if not isinstance(names, list) or not names:
        raise UsageError("output_types must be a list with at least one type of output")
    types: list[OutputType] = []
    for name in names:
        kind = next((kind for kind in OutputType if kind.value == name), None)
        if kind is None:
            known = ", ".join(kind.value for kind in OutputType)
            raise UsageError(f"output_types has {str(name)[:40]!r}; it may have {known}")
        types.append(kind)
    if len(set(types)) < len(types):
        raise UsageError("output_types has a type twice; give each once")
    return types


def _background_id(background: object, known: Sequence[str]) -> str | None:
    if not isinstance(background, str) or not background.startswith(_FILE_MARK):
        return None
    background_id = background.removeprefix(_FILE_MARK)
    if background_id not in known:
        raise UsageError("the background is not there any more; choose it again")
    return background_id


def _suits(kind: OutputType, fields: dict[str, Any]) -> bool:
    """Whether all that was given can be said of that type."""
    has_background = fields.get("background") is not None
    has_rate = fields.get("crf") is not None or fields.get("bitrate") is not None
    facts = kind.facts
    return (facts.takes_background or not has_background) and (
        facts.crf_bounds is not None or not has_rate
    )
