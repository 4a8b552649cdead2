"""One URL that the job brought along: the result is sent there with a single PUT.

The URL is a stranger's, so the same guard stands before the connection as in the download.
"""

from collections.abc import Iterator
from pathlib import Path

import requests

from rvm_client.errors import UploadError, UsageError
from rvm_client.net import (
    HTTP_ERRORS,
    Backoff,
    Deadline,
    TransientError,
    acceptable_url,
    guarded_session,
    is_transient_status,
    parse_retry_after,
    redacted_url,
    with_retries,
)
from rvm_client.upload.store import (
    ProgressMeter,
    Store,
    UploadRequest,
    read_blocks,
)

BACKOFF = Backoff()
_BLOCK_BYTES = 256 * 1024
_CONNECT_TIMEOUT_S = 30  # also for a write that does not move
_READ_TIMEOUT_S = 60


class PresignedStore(Store):
    """Sends files to one presigned URL. Redirects are refused."""

    name = "the upload URL"

    def __init__(self, upload_url: str, *, allow_private_addresses: bool) -> None:
        """Raises: UsageError: if the URL cannot be accepted, whatever it resolves to."""
        try:
            self._upload_url = acceptable_url(
                upload_url, allow_private_addresses=allow_private_addresses
            )
        except UsageError as exc:
            raise UsageError(f"upload_url: {exc}") from exc
        self._where = redacted_url(self._upload_url)
        self._allow_private_addresses = allow_private_addresses

    def _check(self, deadline: Deadline) -> None:
        """Do nothing: a presigned URL can only be tested by using it."""

    def _send(self, request: UploadRequest, meter: ProgressMeter, deadline: Deadline) -> str:
        """A PUT that breaks starts again with the first byte."""

        def put() -> None:
            deadline.check()
            self._put(_Body(request.path, meter, deadline), request.content_type, deadline)

        with_retries(put, UploadError, BACKOFF, deadline)
        return self._upload_url.partition("?")[0]

    def _put(self, body: "_Body", content_type: str, deadline: Deadline) -> None:
        try:
            with guarded_session(
                deadline,
                _CONNECT_TIMEOUT_S,
                allow_private_addresses=self._allow_private_addresses,
            ) as session:
                response = session.put(
                    self._upload_url,
                    data=body,
                    headers={"Content-Type": content_type},
                    timeout=(_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S),
                    allow_redirects=False,
                    stream=True,  # the answer's body is not read: it may never end
                )
                response.close()
        except HTTP_ERRORS as exc:
            # A connection that the deadline broke looks like any other broken one.
            deadline.check()
            # Not chained: the text of these errors shows the URL with its signature.
            raise self._broken(exc) from None
        # A head that the deadline broke off may look whole.
        deadline.check()
        self._raise_for_status(response)

    def _broken(self, exc: Exception) -> UploadError | TransientError:
        """The only place where requests' errors become ours."""
        if isinstance(exc, ValueError):  # an invalid URL, header or body: never better later
            return UploadError(f"{self._where} cannot be used as upload_url")
        return TransientError(f"the connection to {self._where} broke or timed out")

    def _raise_for_status(self, response: requests.Response) -> None:
        status = response.status_code
        if is_transient_status(status):
            raise TransientError(
                f"{self._where} answered with status {status}",
                parse_retry_after(response.headers.get("Retry-After")),
            )
        if status in (401, 403):
            raise UploadError(
                f"{self._where} refused the upload ({status}): upload_url may have expired, "
                "or be signed for another method or content type"
            )
        if not 200 <= status < 300:
            raise UploadError(f"{self._where} answered the upload with status {status}")


class _Body:
    """The file in blocks. Its length makes requests send Content-Length."""

    def __init__(self, path: Path, meter: ProgressMeter, deadline: Deadline) -> None:
        self._path = path
        self._meter = meter
        self._deadline = deadline

    def __len__(self) -> int:
        return self._meter.total_bytes

    def __iter__(self) -> Iterator[bytes]:
        sent_bytes = 0
        for block in read_blocks(self._path, _BLOCK_BYTES):
            self._deadline.check()
            yield block
            sent_bytes += len(block)
            self._meter.reached(sent_bytes)
