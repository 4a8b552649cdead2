import threading
from collections.abc import Iterator

import pytest

from rvm_client.prefetch import Prefetch


def test_hands_on_all_items_in_order() -> None:
    with Prefetch(iter(range(100)), depth=2, name="numbers") as numbers:
        assert list(numbers) == list(range(100))


def test_reads_no_further_ahead_than_its_depth() -> None:
    produced = threading.Semaphore(0)
    count = 0

    def source() -> Iterator[int]:
        nonlocal count
        for number in range(100):
            count += 1
            produced.release()
            yield number

    with Prefetch(source(), depth=3, name="numbers") as numbers:
        # Three lie in the queue, and the fourth waits for room: never a fifth.
        for _ in range(4):
            assert produced.acquire(timeout=5)
        assert not produced.acquire(timeout=0.3)
        assert next(numbers) == 0
        assert produced.acquire(timeout=5)
    assert count == 5


def test_an_error_of_the_source_reaches_the_reader_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with Prefetch(source(), depth=1, name="numbers") as numbers:
        assert next(numbers) == 1
        with pytest.raises(ValueError, match="no more"):
            next(numbers)


def test_leaving_early_ends_the_thread_and_closes_the_source() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with Prefetch(source(), depth=1, name="endless numbers") as numbers:
        next(numbers)
    assert closed.is_set()
    assert "endless numbers" not in {thread.name for thread in threading.enumerate()}


def test_stages_in_a_row_end_together() -> None:
    with (
        Prefetch(iter(range(1000)), depth=1, name="first") as first,
        Prefetch((n * 2 for n in first), depth=1, name="second") as second,
    ):
        assert next(second) == 0
    assert not {"first", "second"} & {thread.name for thread in threading.enumerate()}


def test_an_interrupt_while_it_starts_ends_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it reads is closed next, by whoever opened it."""
    is_reading, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        try:
            is_reading.set()
            may_end.wait(5)
            yield 0
        finally:
            ended.set()

    begin = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        begin(thread)
        assert is_reading.wait(5)
        monkeypatch.undo()
        begin(threading.Timer(0.2, may_end.set))
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Prefetch(source(), depth=1, name="numbers").__enter__()
    assert ended.is_set()
    assert "numbers" not in {thread.name for thread in threading.enumerate()}
