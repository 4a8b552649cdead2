"""Trying again: what is worth it, how often, and how long to wait for it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import urllib3
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
    wait_random,
)
from tenacity.stop import stop_base
from urllib3.exceptions import InvalidHeader

from rvm_client.errors import RvmError
from rvm_client.net.deadline import Deadline

T = TypeVar("T")

# 420 is Cloudinary's older "slow down"; 425 is "too early" (RFC 8470).
_TRANSIENT_STATUSES = frozenset({408, 420, 425, 429})


@dataclass(frozen=True)
class Backoff:
    """Waits double from the first to the longest, with jitter."""

    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    longest_retry_after_s: float = 60.0  # a server that asks for more is asked again after this


class TransientError(RvmError):
    """A failure that may pass: worth the same request again, and never seen by users."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def is_transient_status(status: int) -> bool:
    """Whether an HTTP status means "later" rather than "no"."""
    return status in _TRANSIENT_STATUSES or 500 <= status < 600


def parse_retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a Retry-After header (RFC 9110, 10.2.3): a number or a date.

    None if it is missing or makes no sense.
    """
    try:
        return urllib3.Retry().parse_retry_after(value) if value else None
    except (InvalidHeader, ValueError, OverflowError):  # the last two: digits without end
        return None


def with_retries(
    action: Callable[[], T],
    failure: type[RvmError],
    backoff: Backoff,
    *,
    cancelled: threading.Event | None = None,
    deadline: Deadline | None = None,
) -> T:
    """Call `action` until it does not raise `TransientError`.

    A wait ends when `cancelled` is set; `action` is what raises `StoppedError` then. With a
    `deadline` it ends as `Deadline.sleep` does, and is not begun if it would outlast it.

    Raises:
        RvmError: of the kind `failure`, with the last reason, when all attempts are used up.
    """
    stop: stop_base = stop_after_attempt(backoff.attempts)
    sleep: Callable[[float], None] = sleep_using_event(cancelled or threading.Event())
    if deadline is not None:
        # There is no sense in waiting for an attempt that the deadline will not allow.
        stop, sleep = stop | stop_before_delay(deadline.remaining_s), deadline.sleep
    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop,
        wait=lambda state: _wait_s(state, backoff),
        sleep=sleep,
        reraise=True,
    )
    try:
        return retrying(action)
    except TransientError as exc:
        attempt = retrying.statistics["attempt_number"]
        raise failure(f"{exc}; given up at attempt {attempt}") from exc


def _wait_s(state: RetryCallState, backoff: Backoff) -> float:
    doubling = wait_exponential(multiplier=backoff.first_wait_s, max=backoff.longest_wait_s)
    wait = doubling + wait_random(0, backoff.first_wait_s)
    failure = state.outcome.exception() if state.outcome else None
    asked_s = failure.retry_after_s if isinstance(failure, TransientError) else None
    return max(wait(state), min(asked_s or 0.0, backoff.longest_retry_after_s))
