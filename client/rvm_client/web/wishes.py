"""What a user wishes of one inference, checked as a job's input is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rvm_client.errors import UsageError
from rvm_client.job import BACKGROUND_NAME, Job, parse_job
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.web.records import LookKind

_NOT_HERE = ("video_url", "output_type", "upload_url", "cloudinary_folder", "preview")
_ANY_URL = "https://example.com/video.mp4"
_FILE_MARK = "file:"


@dataclass(frozen=True)
class Wish:
    """Types of output from one inference, and how."""

    fields: dict[str, Any]
    """As the user gave them."""
    job: Job
    """Of the first type."""
    output_types: tuple[OutputType, ...]
    background_id: str | None
    """What was uploaded to stand behind the person."""

    def options(self, folder: Path) -> MatteOptions:
        """Those of the first type, with files in `folder`."""
        options = self.job.matte_options(folder)
        if self.background_id is not None:
            return replace(options, background=folder / f"background-{self.background_id}")
        return options


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
    types = _parse_types(output_types)
    background_id = _background_id(fields.get("background"), backgrounds)
    # The type that has a use for the most of the fields says whether they are right.
    first = max(types, key=lambda kind: _use(kind, fields))
    jobs = {kind: parse_job(_input(kind, fields, strict=kind is first)) for kind in types}
    wish = Wish(fields, jobs[first], (first, *(t for t in types if t is not first)), background_id)
    wish.options(Path())
    return wish


def _parse_types(names: object) -> list[OutputType]:
    if not isinstance(names, list) or not names:
        raise UsageError("output_types must be a list with at least one type of output")
    types = []
    for name in names:
        try:
            types.append(OutputType(name))
        except ValueError:
            known = ", ".join(kind.value for kind in OutputType)
            raise UsageError(f"output_types has {str(name)[:40]!r}; it may have {known}") from None
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


def _use(kind: OutputType, fields: dict[str, Any]) -> tuple[bool, bool]:
    facts = kind.facts
    return (
        facts.takes_background and fields.get("background") is not None,
        facts.crf_bounds is not None,
    )


def _input(kind: OutputType, fields: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    """A job's input of that type; what it has no use for is an error only where `strict`."""
    given = {name: value for name, value in fields.items() if value is not None}
    if str(given.get("background", "")).startswith(_FILE_MARK):
        del given["background"]
    if not strict:
        if not kind.facts.takes_background:
            given.pop("background", None)
        if kind.facts.crf_bounds is None:
            given.pop("crf", None)
            given.pop("bitrate", None)
    return {**given, "video_url": _ANY_URL, "output_type": kind.value}


def look_type(kind: LookKind) -> OutputType:
    """The type of output that a look is."""
    if kind == "stacked":
        # Where a browser shows no WebM with alpha.
        return next((t for t in OutputType if t.value == "alpha_stacked"), OutputType.ALPHA)
    return OutputType.ALPHA


__all__ = ["BACKGROUND_NAME", "Wish", "look_type", "parse_wish"]
