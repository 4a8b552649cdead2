"""Worker processes for cases: each does many files, and is replaced when it dies or hangs."""

import json
import queue
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.cases import Outcome, Verdict
from tests.fuzz.worker import Case

_LAST_WORDS_BYTES = 4000


class Worker:
    """A process that tries cases, and the next one after it is gone."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._folder = tempfile.TemporaryDirectory(prefix="rvm-fuzz-")
        self._said = Path(self._folder.name, "stderr")
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[str]":
        folder = Path(self._folder.name, "case")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with self._said.open("w") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )

    def try_case(self, case: Case) -> Outcome:
        """What comes of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(case)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline() if self._answers() else None
        if answer:
            told = json.loads(answer)
            return Outcome(Verdict(told["verdict"]), told["words"], told["peak_bytes"])
        return self._replace(has_hung=answer is None)

    def _answers(self) -> bool:
        """Whether it answers, or ends, in time."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return bool(selector.select(self._timeout_s))

    def _replace(self, *, has_hung: bool) -> Outcome:
        words = f"no answer within {self._timeout_s:g} s"
        if not has_hung:
            status = self._process.wait()
            name = signal.Signals(-status).name if status < 0 else f"status {status}"
            words = f"{name}: {self._said.read_text(errors='replace')[-_LAST_WORDS_BYTES:]}"
        self._end()
        self._process = self._start()
        return Outcome(Verdict.HANG if has_hung else Verdict.SIGNAL, words)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def close(self) -> None:
        """End it."""
        self._end()
        self._folder.cleanup()


def try_all(
    cases: Sequence[Case], tell: Callable[[Case, Outcome], None], workers: int, timeout_s: float
) -> None:
    """Try all of them, and tell of each, in the order in which they end."""
    waiting: queue.SimpleQueue[Case | None] = queue.SimpleQueue()
    for case in [*cases, *[None] * workers]:
        waiting.put(case)
    ended: queue.SimpleQueue[tuple[Case, Outcome] | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        worker = Worker(timeout_s)
        try:
            while (case := waiting.get()) is not None:
                ended.put((case, worker.try_case(case)))
        except BaseException as exc:
            ended.put(exc)
        finally:
            worker.close()
            ended.put(None)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    running = workers
    while running:
        item = ended.get()
        if isinstance(item, BaseException):
            raise item
        if item is None:
            running -= 1
        else:
            tell(*item)
    for thread in threads:
        thread.join()
