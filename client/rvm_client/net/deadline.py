"""A limit on the time that a transfer or a whole job may take, and a way to stop it from outside.

A socket's own time limit starts anew with each byte, so a server that sends one byte a second
never meets it. A `Deadline` watches from a thread of its own: when the time is over, or
somebody asks to stop, it breaks the connections that it was told of, and whoever waits for
them wakes at once.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rvm_client.closing import Closing
from rvm_client.errors import OverdueError, RvmError, StoppedError

_POLL_S = 0.05


class Deadline(Closing):
    """Runs out after `timeout_s`, or when `cancelled` is set. Use it as a context manager.

    Args:
        timeout_s: how long; may be infinite.
        cancelled: set by another thread to stop before.
        overdue: makes the error that says what took too long.
    """

    def __init__(
        self,
        timeout_s: float,
        cancelled: threading.Event | None = None,
        overdue: Callable[[], RvmError] | None = None,
    ) -> None:
        self._overdue = overdue or (lambda: OverdueError(f"it took longer than {timeout_s:g} s"))
        self._ends_at_s = time.monotonic() + timeout_s
        self._cancelled = cancelled or threading.Event()
        self._interrupts: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._finished.set()
        self._thread.join()

    @property
    def remaining_s(self) -> float:
        """Seconds until it runs out, never below 0."""
        return max(self._ends_at_s - time.monotonic(), 0.0)

    def check(self) -> None:
        """Go on, or raise.

        Raises:
            OverdueError: the time is over; or what `overdue` makes.
            StoppedError: somebody asked to stop.
        """
        # In this order: who sets `cancelled` because the time is over is told so.
        if not self.remaining_s:
            raise self._overdue()
        if self._cancelled.is_set():
            raise StoppedError("the work was stopped before it was done")

    def sleep(self, seconds: float) -> None:
        """Wait, at most until it runs out. Raises as `check` does."""
        self._stopped.wait(seconds)
        self.check()

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Call `interrupt`, from another thread, if this runs out inside the block.

        `interrupt` must be quick and must not raise. Raises as `check` does.
        """
        with self._lock:
            self.check()
            self._interrupts.append(interrupt)
        try:
            yield
        finally:
            with self._lock:
                self._interrupts.remove(interrupt)

    def _watch(self) -> None:
        while self.remaining_s and not self._cancelled.is_set():
            if self._finished.wait(min(_POLL_S, self.remaining_s)):
                return
        with self._lock:
            self._stopped.set()
            for interrupt in self._interrupts:
                interrupt()
