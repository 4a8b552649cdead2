"""Trying again: how often, how long to wait, and what a server's Retry-After changes."""

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
    wait_exponential,
    wait_random,
)
from urllib3.exceptions import InvalidHeader

from rvm_client.errors import UploadError

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


class TransientError(UploadError):
    """A failure that may pass: worth the same request again."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def is_transient_status(status: int) -> bool:
    """Whether an HTTP status means "later" rather than "no"."""
    return status in _TRANSIENT_STATUSES or 500 <= status < 600


def parse_retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a Retry-After header (RFC 9110, 10.2.3): a number or a date."""
    try:
        return urllib3.Retry().parse_retry_after(value) if value else None
    except (InvalidHeader, ValueError):  # ValueError: a number too long to be one
        return None


def with_retries(
    action: Callable[[], T], backoff: Backoff, cancelled: threading.Event | None = None
) -> T:
    """Call `action` until it does not raise `TransientError`.

    A wait ends when `cancelled` is set; `action` is what raises `StoppedError` then.

    Raises:
        UploadError: with the last failure's message, when all attempts are used up.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(backoff.attempts),
        wait=lambda state: _wait_s(state, backoff),
        sleep=sleep_using_event(cancelled or threading.Event()),
        reraise=True,
    )
    try:
        return retrying(action)
    except TransientError as exc:
        raise UploadError(f"{exc} (tried {backoff.attempts} times)") from exc


def _wait_s(state: RetryCallState, backoff: Backoff) -> float:
    doubling = wait_exponential(multiplier=backoff.first_wait_s, max=backoff.longest_wait_s)
    wait = doubling + wait_random(0, backoff.first_wait_s)
    failure = state.outcome.exception() if state.outcome else None
    asked_s = failure.retry_after_s if isinstance(failure, TransientError) else None
    return max(wait(state), min(asked_s or 0.0, backoff.longest_retry_after_s))
