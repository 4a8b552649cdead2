"""boto3's requests over checked connections, for a bucket that a stranger's job names.

botocore asks who listens to `before-send` for an answer before it makes a connection of its own.
"""

import io
from collections.abc import Iterator
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import EndpointConnectionError

from rvm_client.errors import DownloadError
from rvm_client.net import HTTP_ERRORS, Deadline, guarded_session, redacted_url

_CONNECT_TIMEOUT_S = 30  # also for a write that does not move
_READ_TIMEOUT_S = 120
_REQUEST_TIMEOUT_S = 900.0  # for one request, of a part of the file at most
_LONGEST_ANSWER_BYTES = 2**20  # that of a request without an end is cut off


class GuardedRequests:
    """Answers botocore's requests in place of its own connections.

    Redirects are left to botocore, whose next request comes here too.
    """

    def __init__(self, *, allow_private_addresses: bool) -> None:
        self._allow_private_addresses = allow_private_addresses

    def __call__(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Send one request.

        Raises:
            UsageError: the host has an address that is not public.
            EndpointConnectionError: there is no answer; botocore tries again.
        """
        try:
            with (
                Deadline(_REQUEST_TIMEOUT_S) as deadline,
                guarded_session(
                    deadline,
                    _CONNECT_TIMEOUT_S,
                    allow_private_addresses=self._allow_private_addresses,
                ) as session,
            ):
                response = session.request(
                    request.method,
                    request.url,
                    headers=dict(request.headers),
                    data=request.body,
                    timeout=(_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S),
                    allow_redirects=False,
                    stream=True,
                )
                content = response.raw.read(_LONGEST_ANSWER_BYTES)
        except (DownloadError, *HTTP_ERRORS):
            # Not chained: the text of these errors shows the URL with its signature.
            where = redacted_url(request.url)
            raise EndpointConnectionError(endpoint_url=where) from None
        return AWSResponse(request.url, response.status_code, response.headers, _Raw(content))


class _Raw(io.BytesIO):
    """An answer's body as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.getvalue()
