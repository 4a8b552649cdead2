"""What stands on each GPU of a cluster: one server, and the items that it is given."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from rvm_client.batch.items import Item, Outcome
from rvm_client.batch.targets import open_target
from rvm_client.batch.workplace import Workplace
from rvm_client.config import load_settings
from rvm_client.errors import RvmError, StoppedError
from rvm_client.pipeline import MatteProgress
from rvm_client.wire import Variant

# What was stopped leaves nothing half-written within these.
_END_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Ready:
    """The server is there."""

    versions: Mapping[Variant, str]
    """Of each variant that it has, the version with which a video begins."""
    items_at_once: int


@dataclass(frozen=True)
class Progress:
    """How far an item is."""

    frames_done: int
    frames_expected: int | None


@dataclass(frozen=True)
class Fault:
    """The machine does not do what it should: another one may."""

    sentence: str


class Matter:
    """The actor. Its settings are those of its machine; what goes wrong comes back as a value.

    The constructor does nothing that can fail, as Ray would tell of that in a stack trace only.
    What is lost with the process is made again with the next call.

    Args:
        target: where results go, as `rvm-batch` takes it; a folder is one that all machines share.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._cancelled = threading.Event()
        self._opening = threading.Lock()
        self._workplace: Workplace | None = None
        self._under_way = 0
        self._progress: dict[int, Progress] = {}
        self._ended = threading.Condition()

    def ready(self) -> Ready | Fault:
        """Start the server, if it does not run."""
        try:
            workplace = self._open()
        except RvmError as exc:
            return Fault(str(exc))
        return Ready(workplace.versions, workplace.items_at_once)

    def do(self, item: Item, number: int) -> Outcome | Fault:
        """Do one item. A bad video is an outcome, a server that is lost a fault.

        Args:
            item: the item.
            number: of this call, by which `progress` names it.
        """

        def note(progress: MatteProgress) -> None:
            found = Progress(progress.frames_done, progress.frames_expected)
            self._progress[number] = found

        with self._being_under_way():
            try:
                return self._open().do(item, self._cancelled, note)
            except RvmError as exc:
                if not isinstance(exc, StoppedError):
                    self._close()
                return Fault(str(exc))
            finally:
                self._progress.pop(number, None)

    def progress(self) -> dict[int, Progress]:
        """How far the items under way are, by the numbers of their calls."""
        return dict(self._progress)

    def stop(self) -> None:
        """Stop what is under way, leave nothing half-written, and end the server."""
        self._cancelled.set()
        self._close()
        # Whoever asked ends this process next.
        with self._ended:
            self._ended.wait_for(lambda: not self._under_way, _END_TIMEOUT_S)

    @contextmanager
    def _being_under_way(self) -> Iterator[None]:
        with self._ended:
            self._under_way += 1
        try:
            yield
        finally:
            with self._ended:
                self._under_way -= 1
                self._ended.notify_all()

    def _open(self) -> Workplace:
        with self._opening:
            if self._cancelled.is_set():
                raise StoppedError("the work was stopped")
            if self._workplace is None:
                settings = load_settings()
                target = open_target(self._target, settings)
                self._workplace = Workplace(settings, target, settings.triton_url)
            return self._workplace

    def _close(self) -> None:
        with self._opening:
            workplace, self._workplace = self._workplace, None
        if workplace is not None:
            workplace.close()
