"""moto's S3, with a server in front of it where faults can be put in."""

import requests
from tests.support.http_faults import FaultyServer, Request, Response

_OF_ONE_CONNECTION = frozenset({"connection", "transfer-encoding", "content-encoding", "date"})


class S3Front(FaultyServer):
    """Passes each request on to `target_url`; see `FaultyServer` for faults."""

    def __init__(self, target_url: str) -> None:
        super().__init__()
        self._target_url = target_url

    def answer(self, request: Request) -> Response:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "expect")}
        passed_on = requests.request(
            request.method,
            self._target_url + request.path,
            data=request.body,
            headers=headers,
            timeout=30,
        )
        kept = {k: v for k, v in passed_on.headers.items() if k.lower() not in _OF_ONE_CONNECTION}
        return Response(passed_on.status_code, passed_on.content, kept)
