"""A batch from its items to its summary, whichever engine does them."""

import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

from rvm_client.batch.engine import Engine, Watcher
from rvm_client.batch.items import Item, Outcome, Status
from rvm_client.batch.report import DoneBefore, Report
from rvm_client.batch.targets import Target


class Display(Watcher, Protocol):
    """Shows how far the batch is."""

    def begin(self, count: int) -> None:
        """So many items there are, those that were done before included."""

    def ended(self, outcome: Outcome) -> None:
        """An item is done, has failed, or was done before."""


@dataclass
class Summary:
    """What became of a batch."""

    counts: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    frames: int = 0
    """Of the items that were done now."""
    seconds: float = 0.0
    failures: list[Outcome] = field(default_factory=list)
    left: int = 0
    """Items that nothing became of, where the batch was stopped."""

    def add(self, outcome: Outcome) -> None:
        """Count an item."""
        self.counts[outcome.status] += 1
        self.left -= 1
        if outcome.status is Status.DONE:
            self.frames += outcome.frames
        elif outcome.status is Status.FAILED:
            self.failures.append(outcome)


def run_batch(
    items: Sequence[Item],
    engine: Engine,
    target: Target | None,
    report: Report,
    display: Display,
    summary: Summary,
) -> None:
    """Do what is missing or failed before.

    Args:
        items: with names and keys.
        engine: does them.
        target: where results go; None: they stay where the engine leaves them.
        report: gets a line for each item.
        display: shows it.
        summary: filled in as items end, so that whoever stops the batch has it, too.

    Raises:
        RvmError: no more items can be done.
    """
    started_s = time.monotonic()
    summary.left = len(items)
    display.begin(len(items))

    def note(outcome: Outcome) -> None:
        report.write(outcome)
        summary.add(outcome)
        display.ended(outcome)

    try:
        pending = []
        for item in items:
            before = report.done_before(item)
            if before is not None and (target is None or target.has(before.files, before.bytes)):
                note(_skipped(item, before))
            else:
                pending.append(item)
        if pending:
            with closing(engine.outcomes(deque(pending), display)) as outcomes:
                for outcome in outcomes:
                    note(outcome)
    finally:
        summary.seconds = time.monotonic() - started_s


def _skipped(item: Item, before: DoneBefore) -> Outcome:
    return Outcome(
        item,
        Status.SKIPPED,
        before.files,
        bytes=before.bytes,
        frames=before.frames,
        model_version=before.model_version,
    )
