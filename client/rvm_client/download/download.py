"""Fetch a video from a stranger's URL into a file: `download`.

The body is streamed to disk and counted on the way. A broken connection is resumed where it
broke if the server can do that and the file is still the same, and else started anew. What
may be fetched at all is decided in `addresses`, what an exception means in `http_errors`.
"""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from rvm_client.download.http_errors import network_error, root_of
from rvm_client.download.partial_file import PartialFile
from rvm_client.download.representation import Representation
from rvm_client.errors import DownloadError, UsageError
from rvm_client.net import (
    HTTP_ERRORS,
    Backoff,
    Deadline,
    GuardedSession,
    TransientError,
    acceptable_url,
    guarded_session,
    is_transient_status,
    open_url,
    parse_retry_after,
    redacted_url,
    with_retries,
)

_PIECE_BYTES = 1 << 18


@dataclass(frozen=True)
class DownloadLimits:
    """How much a download may take of what. MB are 10**6 bytes."""

    max_bytes: int = 500 * 1000 * 1000  # of the file as it is stored, so after decoding
    connect_timeout_s: float = 10.0  # for the name, and for each of its addresses
    idle_timeout_s: float = 30.0  # without a single byte
    total_timeout_s: float = 300.0  # for everything, waits between attempts included
    backoff: Backoff = field(default_factory=lambda: Backoff(first_wait_s=0.5))
    allow_private_addresses: bool = False  # for tests and private networks

    def __post_init__(self) -> None:
        for name in ("max_bytes", "connect_timeout_s", "idle_timeout_s", "total_timeout_s"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0, got {getattr(self, name)}")

    def overdue(self) -> DownloadError:
        """What is said of a download that takes too long."""
        return DownloadError(
            f"the download took longer than the limit of {self.total_timeout_s:g} s "
            "(RVM_DOWNLOAD_TIMEOUT_S); use a smaller file or a faster server"
        )


@dataclass(frozen=True)
class DownloadProgress:
    """`received_bytes` falls back when a download starts anew; `total_bytes` may be unknown."""

    received_bytes: int
    total_bytes: int | None


@dataclass(frozen=True)
class DownloadResult:
    """The file at `path`, its size, the server's Content-Type and the seconds it took."""

    path: Path
    bytes: int
    content_type: str | None
    seconds: float


def download(
    url: str,
    target: Path,
    limits: DownloadLimits,
    *,
    on_progress: Callable[[DownloadProgress], None] | None = None,
    cancelled: threading.Event | None = None,
) -> DownloadResult:
    """Fetch `url` into `target`, whose folder must exist; an older file is replaced.

    `on_progress` is called after every piece, in this thread; throttle it there. Setting
    `cancelled` from another thread stops within a fraction of a second, even while the
    server is silent. On failure neither `target` nor a partial file is left or changed.

    Raises:
        UsageError: the URL is not acceptable, or leads to an address that is not public.
        DownloadError: anything else that went wrong, retries included.
        StoppedError: `cancelled` was set.
    """
    started_s = time.monotonic()
    url = acceptable_url(url, allow_private_addresses=limits.allow_private_addresses)
    with (
        Deadline(limits.total_timeout_s, cancelled, limits.overdue) as deadline,
        PartialFile(target) as partial,
    ):
        fetch = _Fetch(url, limits, deadline, partial, on_progress or _ignore)
        content_type = with_retries(fetch.attempt, DownloadError, limits.backoff, deadline)
        deadline.check()
        partial.publish()
    seconds = time.monotonic() - started_s
    return DownloadResult(target, partial.received_bytes, content_type, seconds)


class _Fetch:
    """The attempts to fetch one URL, and what each leaves to the next."""

    def __init__(
        self,
        url: str,
        limits: DownloadLimits,
        deadline: Deadline,
        partial: PartialFile,
        on_progress: Callable[[DownloadProgress], None],
    ) -> None:
        self._url = url
        self._limits = limits
        self._deadline = deadline
        self._partial = partial
        self._on_progress = on_progress
        self._known: Representation | None = None

    def attempt(self) -> str | None:
        """Fetch what is missing. Returns the Content-Type."""
        self._deadline.check()
        with guarded_session(
            self._deadline,
            self._limits.connect_timeout_s,
            allow_private_addresses=self._limits.allow_private_addresses,
        ) as session:
            return self._fetch(session)

    def _fetch(self, session: GuardedSession) -> str | None:
        with self._open(session) as response:
            self._known = known = Representation.of(response)
            # An encoded body only grows, so this holds before it is decoded, too.
            self._refuse_if_large(
                self._partial.received_bytes + (response.raw.length_remaining or 0)
            )
            self._receive(response, known)
        self._deadline.check()
        received = self._partial.received_bytes
        if known.total_bytes is not None and received != known.total_bytes:
            raise TransientError(
                f"{redacted_url(self._url)} ended after {received} of {known.total_bytes} bytes"
            )
        if not received:
            raise DownloadError(f"{redacted_url(self._url)} is empty")
        return response.headers.get("Content-Type")

    def _open(self, session: GuardedSession) -> requests.Response:
        """An answer whose body belongs at the end of the partial file."""
        if self._known is None or not self._known.resumable:
            self._partial.restart()
        if self._known is not None and self._partial.received_bytes:
            response = self._get(session, self._known.range_headers(self._partial.received_bytes))
            if self._known.continued_by(response, self._partial.received_bytes):
                return response
            if response.status_code not in (200, 206, 416):
                raise self._refused(response)
            self._partial.restart()
            if response.status_code == 200:
                return response
            response.close()
        response = self._get(session, {})
        if response.status_code != 200:
            raise self._refused(response)
        return response

    def _get(self, session: GuardedSession, headers: dict[str, str]) -> requests.Response:
        with self._network_errors():
            return open_url(
                session,
                self._url,
                headers=headers,
                timeout_s=(self._limits.connect_timeout_s, self._limits.idle_timeout_s),
                allow_private_addresses=self._limits.allow_private_addresses,
            )

    def _receive(self, response: requests.Response, known: Representation) -> None:
        while piece := self._read(response, decode=known.encoded):
            self._refuse_if_large(self._partial.received_bytes + len(piece))
            self._partial.write(piece)
            self._on_progress(DownloadProgress(self._partial.received_bytes, known.total_bytes))

    def _read(self, response: requests.Response, *, decode: bool) -> bytes:
        """What has arrived, decoded if asked for, at most a piece; empty at the end."""
        self._deadline.check()
        with self._network_errors():
            piece: bytes = response.raw.read1(_PIECE_BYTES, decode_content=decode)
            return piece

    @contextmanager
    def _network_errors(self) -> Iterator[None]:
        try:
            yield
        except HTTP_ERRORS as exc:
            # A connection that the deadline broke looks like any other broken one.
            self._deadline.check()
            error = network_error(exc, redacted_url(self._url))
            # Exceptions about the URL carry it; see `http_errors`.
            raise error from (None if isinstance(error, UsageError) else root_of(exc))

    def _refuse_if_large(self, size_bytes: int) -> None:
        if size_bytes > self._limits.max_bytes:
            raise DownloadError(
                f"{redacted_url(self._url)} is larger than the limit of "
                f"{self._limits.max_bytes} bytes; "
                "send a smaller file"
            )

    def _refused(self, response: requests.Response) -> DownloadError | TransientError:
        status = response.status_code
        response.close()
        # Not the server's words for it, which may be anything.
        phrase = http.client.responses.get(status, "")
        message = f"{redacted_url(self._url)} answered {status} {phrase}".rstrip()
        if is_transient_status(status):
            return TransientError(message, parse_retry_after(response.headers.get("Retry-After")))
        return DownloadError(message)


def _ignore(_: DownloadProgress) -> None:
    pass
