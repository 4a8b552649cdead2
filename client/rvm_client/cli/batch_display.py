"""How far a batch is, on a terminal, and what became of it."""

import json
import threading
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from rvm_client.batch import Item, Outcome, Status, Summary
from rvm_client.closing import Closing
from rvm_client.errors import printable

_MOST_BARS = 8
# So many failures are shown in the summary; the report has all.
_MOST_FAILURES = 20


class BatchDisplay(Closing):
    """See Display. On a terminal a bar over all items and one for each that is under way.

    Elsewhere a line for each item that ends.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
        )
        live = self._console.is_terminal and not quiet
        self._bars = Progress(*columns, console=self._console, transient=True, disable=not live)
        self._all = self._bars.add_task("Videos", total=None, unit="")
        self._of_items: dict[str, TaskID] = {}
        self._count = self._ended = self._failed = 0
        self._lock = threading.Lock()
        self._bars.start()

    def close(self) -> None:
        """Take the bars away."""
        self._bars.stop()

    def begin(self, count: int) -> None:
        """See Display."""
        self._count = count
        self._bars.update(self._all, total=count)

    def started(self, item: Item) -> None:
        """See Watcher."""
        with self._lock:
            if item.name not in self._of_items and len(self._of_items) < _MOST_BARS:
                name = escape(f"  {item.name}")
                self._of_items[item.name] = self._bars.add_task(name, total=None, unit="frames")

    def moved(self, item: Item, done: int, expected: int | None, unit: str = "frames") -> None:
        """See Watcher."""
        with self._lock:
            bar = self._of_items.get(item.name)
        if bar is not None:
            total = None if expected is None else max(expected, done)
            self._bars.update(bar, completed=done, total=total, unit=unit)

    def note(self, sentence: str) -> None:
        """See Watcher."""
        self._bars.update(self._all, description=escape(sentence) or "Videos")

    def ended(self, outcome: Outcome) -> None:
        """See Display."""
        with self._lock:
            bar = self._of_items.pop(outcome.item.name, None)
        if bar is not None:
            self._bars.remove_task(bar)
        self._ended += 1
        failed = outcome.status is Status.FAILED
        self._failed += failed
        state = f"{self._failed} failed" if self._failed else ""
        self._bars.update(self._all, completed=self._ended, unit=state)
        if not self._quiet and (failed or self._bars.disable):
            self._console.print(self._line(outcome), markup=False, highlight=False, soft_wrap=True)

    def _line(self, outcome: Outcome) -> str:
        what = outcome.error or f"{outcome.frames} frames in {outcome.seconds:.1f} s"
        if outcome.status is Status.SKIPPED:
            what = "done before"
        name, status = printable(outcome.item.name), outcome.status.value
        return f"{self._ended}/{self._count} {status}: {name}: {what}"


def show_summary(summary: Summary, report: Path, *, as_json: bool, to_stderr: bool = False) -> None:
    """Print what became of the batch, as a table or as one JSON object."""
    counts = {status.value: count for status, count in summary.counts.items()}
    if as_json:
        facts = {"left": summary.left, "frames": summary.frames, "report": str(report)}
        print(json.dumps({**counts, **facts, "seconds": round(summary.seconds, 3)}))
        return
    console = Console(stderr=to_stderr)
    table = Table(box=None, pad_edge=False)
    for name in (*counts, "left", "frames", "seconds"):
        table.add_column(name, justify="right")
    figures = (*counts.values(), summary.left, summary.frames)
    table.add_row(*map(str, figures), f"{summary.seconds:.1f}")
    console.print(table)
    for outcome in summary.failures[:_MOST_FAILURES]:
        line = f"failed: {printable(outcome.item.name)}: {outcome.error}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"report: {report}", markup=False, highlight=False, soft_wrap=True)
