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
        self._working: list[Task] = []
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
            working = [task for task in self._working if task.key == key]
            for task in working:
                task.cancelled.set()
            self._changed.notify_all()
        self._on_change()
        return bool(working)

    def wait_begun(self, key: str, timeout_s: float) -> bool:
        """Wait until a thread is at that task. Returns whether that is so."""
        with self._changed:
            return self._changed.wait_for(
                lambda: any(task.key == key for task in self._working), timeout_s
            )

    def wait_done(self, key: str, timeout_s: float) -> bool:
        """Wait until that task neither waits nor is at work. Returns whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: key not in self._keys(), timeout_s)

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
            for task in self._working:
                task.cancelled.set()
            self._changed.notify_all()

    def _work(self) -> None:
        while (task := self._take()) is not None:
            self._on_change()
            try:
                task.run(task.cancelled)
            finally:
                with self._changed:
                    self._working.remove(task)
                    self._changed.notify_all()
                self._on_change()

    def _keys(self) -> set[str]:
        waiting = (task.key for tasks in self._waiting.values() for task in tasks)
        return {*waiting, *(task.key for task in self._working)}

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
            self._working.append(task)
            self._changed.notify_all()
            return task
