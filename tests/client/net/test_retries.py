"""Which failures are tried again, when, and how often."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate

import pytest

from rvm_client.errors import DownloadError, OverdueError, StoppedError, UploadError
from rvm_client.net import (
    Backoff,
    Deadline,
    TransientError,
    is_transient_status,
    parse_retry_after,
    with_retries,
)

QUICK = Backoff(attempts=3, first_wait_s=0.01, longest_wait_s=0.05)


def test_a_wait_grows_to_the_longest_however_many_there_were() -> None:
    backoff = Backoff(first_wait_s=1.0, longest_wait_s=15.0)
    for attempt, least_s in ((1, 1.0), (4, 8.0), (5, 15.0), (10**6, 15.0)):
        assert least_s <= backoff.wait_s(attempt) <= least_s + 1.0


@pytest.fixture
def patient() -> Iterator[Deadline]:
    """A deadline that nothing here meets."""
    with Deadline(60.0) as deadline:
        yield deadline


class Flaky:
    """An action that fails with `failures`, one after the other, and then gives its calls."""

    def __init__(self, *failures: Exception) -> None:
        self.calls = 0
        self._failures = list(failures)

    def __call__(self) -> int:
        self.calls += 1
        if self._failures:
            raise self._failures.pop(0)
        return self.calls


def test_an_action_is_called_until_it_does_not_fail(patient: Deadline) -> None:
    assert with_retries(Flaky(*[TransientError("busy")] * 2), UploadError, QUICK, patient) == 3


def test_the_last_reason_and_the_attempt_are_told(patient: Deadline) -> None:
    action = Flaky(*map(TransientError, ("one", "two", "three")))
    with pytest.raises(UploadError, match=r"^three; given up at attempt 3$"):
        with_retries(action, UploadError, QUICK, patient)
    assert action.calls == 3


def test_other_errors_are_final(patient: Deadline) -> None:
    action = Flaky(StoppedError("no more"))
    with pytest.raises(StoppedError):
        with_retries(action, UploadError, QUICK, patient)
    assert action.calls == 1


@pytest.mark.parametrize(("asked_s", "least_s"), [(None, 0.1), (0.0, 0.1), (0.3, 0.3), (9e9, 0.4)])
def test_retry_after_lengthens_a_wait_up_to_its_bound(
    patient: Deadline, asked_s: float | None, least_s: float
) -> None:
    backoff = replace(QUICK, first_wait_s=0.1, longest_wait_s=0.1, longest_retry_after_s=0.4)
    started_s = time.monotonic()
    with_retries(Flaky(TransientError("busy", asked_s)), UploadError, backoff, patient)
    assert time.monotonic() - started_s >= least_s


def test_a_wait_that_outlasts_the_deadline_is_not_begun() -> None:
    action = Flaky(TransientError("busy", 30.0))
    started_s = time.monotonic()
    with (
        Deadline(20.0) as deadline,
        pytest.raises(DownloadError, match="busy; given up at attempt 1"),
    ):
        with_retries(action, DownloadError, QUICK, deadline)
    assert time.monotonic() - started_s < 10


@pytest.mark.parametrize("asked_s", [None, 1e23])
def test_a_wait_ends_with_the_deadline(asked_s: float | None) -> None:
    slow = Backoff(attempts=2, first_wait_s=30.0, longest_retry_after_s=30.0)
    cancelled = threading.Event()
    action = Flaky(TransientError("busy", asked_s))
    threading.Timer(0.1, cancelled.set).start()
    with Deadline(600.0, cancelled) as deadline, pytest.raises(StoppedError):
        with_retries(action, UploadError, slow, deadline)
    assert action.calls == 1


def test_what_fails_as_the_deadline_runs_out_is_overdue() -> None:
    def action() -> None:
        time.sleep(0.1)
        raise TransientError("the connection broke")

    with Deadline(0.1) as deadline, pytest.raises(OverdueError, match=r"longer than 0\.1 s"):
        with_retries(action, UploadError, QUICK, deadline)


def test_who_stops_others_because_the_time_is_over_is_told_so() -> None:
    cancelled = threading.Event()
    with Deadline(0.05, cancelled) as deadline, deadline.interrupting(cancelled.set):
        assert cancelled.wait(10)
        with pytest.raises(OverdueError):
            deadline.check()


@pytest.mark.parametrize("status", [408, 420, 425, 429, 500, 503, 599])
def test_statuses_that_mean_later(status: int) -> None:
    assert is_transient_status(status)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 410, 416, 600])
def test_statuses_that_mean_no(status: int) -> None:
    assert not is_transient_status(status)


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), (" 7 ", 7), ("0", 0), ("3600", 3600)])
def test_retry_after_is_a_number(value: str, seconds: float) -> None:
    assert parse_retry_after(value) == seconds


@pytest.mark.parametrize(("in_s", "seconds"), [(100, 100), (-100, 0)])
def test_retry_after_is_a_date(in_s: int, seconds: float) -> None:
    value = formatdate(time.time() + in_s, usegmt=True)
    assert parse_retry_after(value) == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "-5",
        "9" * 5000,
        "Fri, 31 Dec 99999 23:59:59 GMT",
        f"Fri, 31 Dec {10**30} 23:59:59 GMT",
        f"Fri, 31 Dec 2027 23:59:59 -{'9' * 400}",
    ],
)
def test_retry_after_makes_no_sense(value: str | None) -> None:
    assert parse_retry_after(value) is None
