"""Trying again: what is worth it, how often, and how long to wait for it."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import urllib3
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
)
from urllib3.exceptions import InvalidHeader

from rvm_client.errors import RvmError
from rvm_client.net.deadline import Deadline

T = TypeVar("T")

# Beyond any wait; more would not fit into a float.
_MOST_DOUBLINGS = 64
# 420 is Cloudinary's older "slow down"; 425 is "too early" (RFC 8470).
_TRANSIENT_STATUSES = frozenset({408, 420, 425, 429})


@dataclass(frozen=True)
class Backoff:
    """Waits double from the first to the longest, with jitter."""

    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    longest_retry_after_s: float = 60.0  # a server that asks for more is asked again after this

    def wait_s(self, attempt: int, asked_s: float | None = None) -> float:
        """Seconds to wait after the attempt of that number, from 1 on.

        Args:
            attempt: its number.
            asked_s: what the server asked for.
        """
        doublings = min(attempt - 1, _MOST_DOUBLINGS)
        doubled_s = min(self.first_wait_s * 2.0**doublings, self.longest_wait_s)
        jitter_s = random.uniform(0, self.first_wait_s)
        return max(doubled_s + jitter_s, min(asked_s or 0.0, self.longest_retry_after_s))


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
    deadline: Deadline,
) -> T:
    """Call `action` until it does not raise `TransientError`.

    A wait ends as `Deadline.sleep` does, and is not begun if it would outlast the deadline.

    Raises:
        RvmError: of the kind `failure`, with the last reason, when all attempts are used up; or
            as `Deadline.check`.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        # There is no sense in waiting for an attempt that the deadline will not allow.
        stop=stop_after_attempt(backoff.attempts) | stop_before_delay(deadline.remaining_s),
        wait=lambda state: _wait_s(state, backoff),
        sleep=deadline.sleep,
        reraise=True,
    )
    try:
        return retrying(action)
    except TransientError as exc:
        # What the deadline broke looks like any other failure.
        deadline.check()
        attempt = retrying.statistics["attempt_number"]
        raise failure(f"{exc}; given up at attempt {attempt}") from exc


def _wait_s(state: RetryCallState, backoff: Backoff) -> float:
    failure = state.outcome.exception() if state.outcome else None
    asked_s = failure.retry_after_s if isinstance(failure, TransientError) else None
    return backoff.wait_s(state.attempt_number, asked_s)
