"""Sessions take turns, whoever has how much to do."""

import threading
from collections.abc import Callable

import pytest

from rvm_client.web.lanes import Lane, Task


class Recorder:
    """Tasks that say when they are done, and wait until they may."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.may_go = threading.Event()

    def task(self, session: str, key: str) -> Task:
        return Task(session, key, self._run(key))

    def _run(self, key: str) -> Callable[[threading.Event], None]:
        def run(cancelled: threading.Event) -> None:
            self.may_go.wait(10)
            self.done.append(f"{key} cancelled" if cancelled.is_set() else key)

        return run


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_sessions_take_turns(recorder: Recorder) -> None:
    lane = Lane("test", 0)
    for key in ("a1", "a2", "a3", "a4", "b1", "b2", "c1"):
        lane.submit(recorder.task(key[0], key))
    order = ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]
    assert lane.places() == {key: place for place, key in enumerate(order, 1)}
    recorder.may_go.set()
    lane.widen(1)
    for key in order:
        assert lane.wait_done(key, 10)
    assert recorder.done == order
    assert lane.places() == {}
    lane.close()


def test_one_that_comes_late_does_not_wait_for_all(recorder: Recorder) -> None:
    lane = Lane("test", 1)
    for key in ("a1", "a2", "a3"):
        lane.submit(recorder.task("a", key))
    lane.submit(recorder.task("b", "b1"))
    recorder.may_go.set()
    for key in ("a3", "b1"):
        assert lane.wait_done(key, 10)
    assert recorder.done.index("b1") < recorder.done.index("a3")
    lane.close()


def test_cancelled_before_and_at_work(recorder: Recorder) -> None:
    with Lane("test", 1) as lane:
        lane.submit(recorder.task("a", "a1"))
        lane.submit(recorder.task("a", "a2"))
        assert lane.wait_begun("a1", 10)
        assert lane.places() == {"a2": 1}
        assert not lane.cancel("a2")
        assert lane.cancel("a1")
        recorder.may_go.set()
        assert lane.wait_done("a1", 10)
    assert recorder.done == ["a1 cancelled"]


def test_as_many_at_a_time_as_it_is_wide(recorder: Recorder) -> None:
    with Lane("test", 2) as lane:
        for key in ("a1", "a2", "a3"):
            lane.submit(recorder.task("a", key))
        assert lane.wait_begun("a1", 10)
        assert lane.wait_begun("a2", 10)
        assert lane.places() == {"a3": 1}
        recorder.may_go.set()
