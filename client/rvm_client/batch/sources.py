"""The sources that a command names: files, folders, globs, URLs and lists."""

import csv
import glob
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rvm_client.errors import InputError, UsageError
from rvm_client.options import is_url
from rvm_client.pixels import parse_colour

# Files of a folder that are taken for videos. Whatever is named by itself is taken as it is.
VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg"),
        *("mts", "mxf", "ogv", "ts", "webm", "wmv", "y4m"),
    )
)
LIST_SUFFIXES = (".txt", ".csv", ".jsonl")
SOURCE_COLUMNS = ("source", "video_url")


@dataclass(frozen=True)
class Listed:
    """A source as it was named, with the options of its row."""

    source: str
    row: Mapping[str, str] = field(default_factory=dict)
    """Text by the name of an option."""
    place: str = ""
    """The list and its line, for messages."""


def find_sources(named: Sequence[str], target: Path | None = None) -> list[Listed]:
    """All sources that are named; in order, each folder's by name.

    Args:
        named: files, folders, globs, URLs and lists.
        target: the folder of the results, which are no sources.

    Raises:
        UsageError: there is nothing of that name, or a list cannot be understood.
        InputError: a list cannot be read.
    """
    found = [source for name in named for source in _named(name, target)]
    if not found:
        raise UsageError("there is no video in what was named")
    return found


def _named(name: str, target: Path | None) -> Iterator[Listed]:
    path = Path(name)
    if is_url(name):
        yield Listed(name)
    elif path.is_dir():
        yield from map(Listed, _videos_in(path, target))
    elif path.is_file() and path.suffix.lower() in LIST_SUFFIXES:
        yield from _rows(path)
    elif path.is_file():
        yield Listed(name)
    elif glob.has_magic(name):
        yield from _matches(name, target)
    else:
        raise UsageError(f"there is no file or folder {name}")


def _matches(pattern: str, target: Path | None) -> Iterator[Listed]:
    # A path's own glob takes no pattern from the root.
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    if not matches:
        raise UsageError(f"nothing matches {pattern}")
    for match in matches:
        if Path(match).is_dir():
            yield from map(Listed, _videos_in(Path(match), target))
        elif not _lies_in(Path(match), target):
            yield Listed(match)


def _videos_in(folder: Path, target: Path | None) -> Iterator[str]:
    """The videos below `folder`, but for hidden files and those of the target."""
    if target is not None and target.resolve() == folder.resolve():
        raise UsageError(
            f"{folder} is both the sources' and the results' folder; give the results one of "
            "their own, which may lie inside"
        )
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        is_video = path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
        if is_video and not hidden and not _lies_in(path, target):
            yield str(path)


def _lies_in(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def _rows(path: Path) -> Iterator[Listed]:
    """The rows of a list. Paths in it are relative to its folder."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"the list {path} cannot be read as UTF-8 text: {exc}") from exc
    read = {".txt": _text_rows, ".csv": _csv_rows, ".jsonl": _json_rows}[path.suffix.lower()]
    for line, row in read(text, path):
        place = f"{path}, line {line}"
        given = [row.pop(column, "") for column in SOURCE_COLUMNS]
        sources = [source for source in given if source]
        if len(sources) != 1:
            raise UsageError(f"{place}: give the video in one column, source or video_url")
        source = sources[0]
        if not is_url(source):
            source = str(path.parent / source)
        background = row.get("background")
        if background and not is_url(background) and parse_colour(background) is None:
            row["background"] = str(path.parent / background)
        yield Listed(source, {name: value for name, value in row.items() if value}, place)


def _text_rows(text: str, _path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, {"source": line.strip()}


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            extra = row.pop(None, None)
            if extra or None in row.values():
                raise UsageError(
                    f"{path}, line {reader.line_num}: it has not as many cells as the first line"
                )
            yield reader.line_num, {name.strip(): cell.strip() for name, cell in row.items()}
    except csv.Error as exc:
        raise UsageError(f"{path}, after line {reader.line_num}: it is not CSV: {exc}") from exc


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    # A string of JSON may have other line ends in it.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise UsageError(f"{path}, line {number}: it is not JSON: {exc}") from exc
        if not isinstance(row, dict) or any(isinstance(v, dict | list) for v in row.values()):
            raise UsageError(f"{path}, line {number}: it must be an object of plain values")
        yield number, {name: _as_text(v) for name, v in row.items() if v is not None}


def _as_text(value: object) -> str:
    """A JSON value as a cell of CSV would have it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
