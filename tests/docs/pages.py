"""The documentation as data: its pages, fenced blocks with their marks, tables and links.

A mark is a comment in the line above a block's fence:

    <!-- not run: needs a GPU -->
    <!-- checked: test_of_this_folder -->
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("examples/*/README.md"))]

_BLOCK = re.compile(
    r"^(?: *<!-- (?P<mark>not run|checked): (?P<words>[^\n]+?) -->\n)?"
    r" *```(?P<language>\S*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*(?==)")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    """"sh", "python", "json" or "text"."""
    text: str
    mark: str | None
    """"not run" or "checked"; None: it is run."""
    words: str
    """The reason why it is not run, or the name of the test that checks it."""

    @property
    def place(self) -> str:
        """Page and line, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """The words of each command of a block of shell."""
        for line in self.text.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def blocks(page: Path, *, language: str | None = None, mark: str | None = "any") -> list[Block]:
    """The blocks of a page, of one language, with one mark."""
    text = page.read_text()
    found = [
        Block(
            page,
            text.count("\n", 0, match.start("text")),
            match["language"],
            match["text"],
            match["mark"],
            match["words"] or "",
        )
        for match in _BLOCK.finditer(text)
    ]
    return [
        block
        for block in found
        if language in (None, block.language) and mark in ("any", block.mark)
    ]


def checked_block(test: str) -> Block:
    """The one block whose mark names the test."""
    (found,) = [b for page in PAGES for b in blocks(page, mark="checked") if b.words == test]
    return found


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text())


def variables_and_command(words: list[str]) -> tuple[list[str], list[str]]:
    """The variables that are set for a command, and the command."""
    count = next((i for i, word in enumerate(words) if not _ASSIGNMENT.match(word)), len(words))
    return [word.partition("=")[0] for word in words[:count]], words[count:]


def jobs(words: list[str]) -> list[object]:
    """The jobs in a command's arguments."""
    return [json.loads(word)["input"] for word in words if word.startswith("{")]


def table(page: Path, *header: str) -> list[list[str]]:
    """The rows of the tables whose header begins with these cells."""
    rows: list[list[str]] = []
    within = False
    for line in page.read_text().splitlines():
        cells = [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells[: len(header)] == list(header):
            within = True
        elif not cells:
            within = False
        elif within and not all(re.fullmatch(":?-+:?", cell) for cell in cells):
            rows.append(cells)
    assert rows, f"{page.name} has no table of {header}"
    return rows


def codes(text: str) -> list[str]:
    """What a text shows as code."""
    return re.findall(r"`([^`]+)`", text)
