"""A plain HTTP server for a folder of clips."""

import mimetypes
from pathlib import Path

from tests.support.http_faults import FaultyServer, Request, Response


class ClipServer(FaultyServer):
    """Serves the files of `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def answer(self, request: Request) -> Response:
        path = self.folder / request.path.partition("?")[0].lstrip("/")
        if not path.is_file():
            return Response(404)
        content_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
        return Response(200, path.read_bytes(), {"Content-Type": content_type})
