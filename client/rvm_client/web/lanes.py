"""Work that waits its turn: fair between sessions, first come first served within one."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rvm_client.closing import Closing


@dataclass(frozen=True)
class Task:
    """One piece of work."""

    session: str
    key: str
    run: Callable[[threading.Event], None]
    """Does it, and catches its own errors; the event says that it is no longer wanted."""
    cancelled: threading.Event = field(default_factory=threading.Event)


class Lane(Closing):
    """Threads that take tasks: the sessions take turns, whoever has how many.

    Args:
        name: of its threads.
        width: tasks at a time.
        on_change: called when places have changed, in any thread.
    """

    def __init__(
        self, name: str, width: int = 1, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._name, self._on_change = name, on_change
        self._waiting: OrderedDict[str, deque[Task]] = OrderedDict()
        self._working: dict[str, Task] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._threads: list[threading.Thread] = []
        self.widen(width)

    def widen(self, width: int) -> None:
        """Have at least so many threads."""
        while len(self._threads) < width:
            name = f"{self._name} {len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def submit(self, task: Task) -> None:
        """Put a task at the end of its session's."""
        with self._changed:
            self._waiting.setdefault(task.session, deque()).append(task)
            self._changed.notify()
        self._on_change()

    def cancel(self, key: str) -> bool:
        """Take a task out, or tell it to stop. Returns whether it was at work."""
        with self._changed:
            for session, tasks in list(self._waiting.items()):
                kept = deque(task for task in tasks if task.key != key)
                if kept:
                    self._waiting[session] = kept
                else:
                    del self._waiting[session]
            working = self._working.get(key)
            if working is not None:
                working.cancelled.set()
        self._on_change()
        return working is not None

    def wait_idle(self, key: str, timeout_s: float) -> bool:
        """Wait until no thread is at that task. Returns whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: key not in self._working, timeout_s)

    def places(self) -> dict[str, int]:
        """The place of each task that waits, from 1, in the order in which they will be taken."""
        with self._changed:
            queues = [list(tasks) for tasks in self._waiting.values()]
        places: dict[str, int] = {}
        for turn in range(max(map(len, queues), default=0)):
            for queue in queues:
                if turn < len(queue):
                    places[queue[turn].key] = len(places) + 1
        return places

    def close(self) -> None:
        """Stop, and wait for the end of what is at work."""
        self.stop()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Tell what is at work to stop, and begin nothing more."""
        with self._changed:
            self._closed = True
            for task in self._working.values():
                task.cancelled.set()
            self._changed.notify_all()

    def _work(self) -> None:
        while (task := self._take()) is not None:
            self._on_change()
            try:
                task.run(task.cancelled)
            finally:
                with self._changed:
                    self._working.pop(task.key, None)
                    self._changed.notify_all()
                self._on_change()

    def _take(self) -> Task | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._waiting))
            if self._closed:
                return None
            session, tasks = next(iter(self._waiting.items()))
            task = tasks.popleft()
            # The session goes to the end of the round.
            del self._waiting[session]
            if tasks:
                self._waiting[session] = tasks
            self._working[task.key] = task
            return task
