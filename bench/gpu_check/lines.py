"""The lines of the check: what was looked at, the verdict, and what was found."""

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

import click


class Verdict(str, Enum):
    """Of one line."""

    PASS = "PASS"
    FAIL = "FAIL"
    MEASURED = "measured"
    """There is nothing that could be wrong about it."""
    NOT_HERE = "not here"
    """It needs what this machine does not have; its words say what."""


@dataclass(frozen=True)
class Outcome:
    """What a check found."""

    verdict: Verdict
    words: str
    figures: Mapping[str, float] = field(default_factory=dict)
    """The same in numbers, for the JSON file."""


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    title: str
    outcome: Outcome

    def as_dict(self) -> dict[str, object]:
        """For the JSON file."""
        outcome = self.outcome
        return {
            "check": self.title,
            "verdict": outcome.verdict.value,
            "found": outcome.words,
            "figures": dict(outcome.figures),
        }


class CheckFailedError(Exception):
    """What a check looked at is not as it must be; one sentence."""


Check = Callable[[], Outcome]
"""Raises anything: the line fails, with the exception's first line as its words."""


def passed(words: str, **figures: float) -> Outcome:
    """It is as it must be."""
    return Outcome(Verdict.PASS, words, figures)


def measured(words: str, **figures: float) -> Outcome:
    """A figure that nothing is demanded of."""
    return Outcome(Verdict.MEASURED, words, figures)


def not_here(why: str) -> Outcome:
    """It was not looked at."""
    return Outcome(Verdict.NOT_HERE, why)


def run(checks: Iterable[tuple[str, Check]], on_failure: Callable[[], None]) -> Iterator[Line]:
    """Every check, whatever becomes of those before it.

    Args:
        checks: titles, and what is done.
        on_failure: called after a check that raised.
    """
    for title, check in checks:
        click.echo(f"Checking: {title}", err=True)
        try:
            outcome = check()
        except Exception as exc:
            if not is_told(exc):
                click.echo(traceback.format_exc(), err=True)
            outcome = Outcome(Verdict.FAIL, sentence(exc))
            on_failure()
        yield Line(title, outcome)


def is_told(exc: Exception) -> bool:
    """Whether the message is one of ours, which says all there is to say."""
    ours = ("rvm_client.", "rvm_export.", __name__)
    return type(exc).__module__.startswith(ours)


def sentence(exc: Exception) -> str:
    """An exception in one line."""
    words = (str(exc).strip().splitlines() or ["no reason is given"])[0]
    return words if is_told(exc) else f"{type(exc).__name__}: {words}"


def table(lines: Iterable[Line]) -> str:
    """In Markdown, its columns aligned."""
    rows = [("check", "verdict", "found")]
    rows += [
        (line.title, line.outcome.verdict.value, line.outcome.words.replace("|", "\\|"))
        for line in lines
    ]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    texts = [
        f"| {title:{first}} | {verdict:{second}} | {words} |" for title, verdict, words in rows
    ]
    texts.insert(1, f"| {'-' * first} | {'-' * second} | --- |")
    return "\n".join(texts)
