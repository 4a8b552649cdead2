"""moto's S3, with a server in front of it where faults can be put in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import requests
from moto.server import ThreadedMotoServer
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


@contextmanager
def running_moto() -> Iterator[str]:
    """The URL of moto's own server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def emptied_s3(moto_url: str, bucket: str) -> Iterator[Any]:
    """A client of moto's, which has that bucket and nothing in it."""
    requests.post(f"{moto_url}/moto-api/reset", timeout=10)
    client = boto3.client(
        "s3",
        endpoint_url=moto_url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    client.create_bucket(Bucket=bucket)
    try:
        yield client
    finally:
        client.close()
