"""A server that keeps what is PUT to it, as the far end of a presigned URL."""

from tests.support.http_faults import FaultyServer, Request, Response


class PutServer(FaultyServer):
    """Accepts PUT with the right signature in its query; see `FaultyServer` for faults."""

    signature = "the-signature"

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, Request] = {}  # by path without the query

    def upload_url(self, path: str) -> str:
        return self.url(f"{path}?X-Signature={self.signature}")

    def answer(self, request: Request) -> Response:
        path, _, query = request.path.partition("?")
        if request.method == "GET" and path in self.stored:
            return Response(200, self.stored[path].body)
        if request.method != "PUT" or query != f"X-Signature={self.signature}":
            return Response(403, f"<Error><StringToSign>{query}</StringToSign></Error>".encode())
        if "content-length" not in request.headers or "transfer-encoding" in request.headers:
            return Response(411)
        self.stored[path] = request
        return Response(200)
