"""What talking to servers of others needs: checked addresses, limits of time, retries."""

from rvm_client.net.addresses import acceptable_url, redacted_url
from rvm_client.net.deadline import Deadline
from rvm_client.net.guarded_http import (
    HTTP_ERRORS,
    Dialler,
    GuardedSession,
    guarded_session,
    open_url,
)
from rvm_client.net.retries import (
    Backoff,
    TransientError,
    is_transient_status,
    parse_retry_after,
    with_retries,
)

__all__ = [
    "HTTP_ERRORS",
    "Backoff",
    "Deadline",
    "Dialler",
    "GuardedSession",
    "TransientError",
    "acceptable_url",
    "guarded_session",
    "is_transient_status",
    "open_url",
    "parse_retry_after",
    "redacted_url",
    "with_retries",
]
