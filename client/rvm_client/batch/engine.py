"""What does the items of a batch: in this process, or anywhere else."""

from collections import deque
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from rvm_client.batch.items import Item, Outcome, ServedModel
from rvm_client.wire import Variant

Backlog: TypeAlias = deque[Item]
"""Items that wait. Whoever takes the outcomes may add some before asking for the next one."""


class Watcher(Protocol):
    """Is told how far the items are; from any thread."""

    def started(self, item: Item) -> None:
        """Work on it begins, perhaps again."""

    def moved(self, item: Item, done: int, expected: int | None, unit: str = "frames") -> None:
        """So much of it is done, of so much if that is known."""

    def note(self, sentence: str) -> None:
        """Something that whoever waits should know."""


class Engine(AbstractContextManager["Engine"], Protocol):
    """Does items, in any order and any number at a time; a context manager."""

    def model(self, variant: Variant) -> ServedModel:
        """The model that will matte items of a variant, as far as it is known before.

        Raises:
            RvmError: there is none.
        """

    def check(self, items: Sequence[Item]) -> None:
        """Refuse items that it can never do, before any is begun.

        Raises:
            UsageError: naming the first.
        """

    def outcomes(self, waiting: Backlog, watcher: Watcher) -> Generator[Outcome, None, None]:
        """What becomes of each item, as it ends. Closing the iterator stops what is under way.

        Items are taken out of the backlog from its left.

        An item that cannot be done is an outcome; what no item could do without is raised.

        Raises:
            RvmError: no more items can be done.
        """
