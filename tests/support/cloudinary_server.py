"""Cloudinary's side of a chunked video upload, as strict as the real one where it matters.

It checks the signature, the form's fields, the chunk ranges and the upload id, puts the chunks
together and serves the result again. The signature is computed here from Cloudinary's
description (https://cloudinary.com/documentation/authentication_signatures), not by its SDK.
"""

import base64
import hashlib
import io
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

from tests.support.http_faults import FaultyServer, Request, Response
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

MIN_CHUNK_BYTES = 5 * 1024 * 1024
_MAX_CLOCK_SKEW_S = 3600
_UNSIGNED_FIELDS = frozenset({"file", "cloud_name", "resource_type", "api_key", "signature"})


@dataclass
class _Upload:
    total_bytes: int
    params: dict[str, str]
    chunks: dict[int, bytes] = field(default_factory=dict)  # by their first byte

    @property
    def received_bytes(self) -> int:
        return sum(map(len, self.chunks.values()))

    @property
    def content(self) -> bytes:
        return b"".join(self.chunks[start] for start in sorted(self.chunks))


@dataclass(frozen=True)
class ChunkRequest:
    """One chunk that arrived whole and was looked at."""

    upload_id: str | None
    content_range: str | None
    status: int


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class CloudinaryServer(FaultyServer):
    """One account of a Cloudinary on loopback; see `FaultyServer` for faults."""

    cloud_name = "test-cloud"
    api_key = "123456789012345"
    api_secret = "the-api-secret"

    def __init__(self, max_video_bytes: int = 100 * 1024 * 1024) -> None:
        super().__init__()
        self.max_video_bytes = max_video_bytes
        self.chunk_requests: list[ChunkRequest] = []
        self.videos: dict[str, bytes] = {}  # by public id; images and raw files too
        self.resource_types: dict[str, str] = {}
        self.video_params: dict[str, dict[str, str]] = {}
        self._uploads: dict[str, _Upload] = {}

    @property
    def cloudinary_url(self) -> str:
        """As CLOUDINARY_URL is written."""
        return (
            f"cloudinary://{self.api_key}:{self.api_secret}@{self.cloud_name}"
            f"?upload_prefix={self.base_url}"
        )

    def answer(self, request: Request) -> Response:
        try:
            if request.method == "GET":
                return self._get(request)
            return self._post(request)
        except _RefusedError as refused:
            return _json(refused.status, {"error": {"message": str(refused)}})

    def _get(self, request: Request) -> Response:
        if request.path == f"/v1_1/{self.cloud_name}/ping":
            credentials = base64.b64encode(f"{self.api_key}:{self.api_secret}".encode()).decode()
            if request.headers.get("authorization") != f"Basic {credentials}":
                raise _RefusedError(401, "api_secret mismatch")
            return _json(200, {"status": "ok"})
        pattern = rf"/{self.cloud_name}/(video|image|raw)/upload/v1/(.+?)(\.\w+)?"
        match = re.fullmatch(pattern, request.path)
        if match is None:
            raise _RefusedError(404, "Resource not found")
        # The extension is part of a raw file's id only.
        public_id = match[2] + (match[3] or "" if match[1] == "raw" else "")
        if public_id not in self.videos or self.resource_types[public_id] != match[1]:
            raise _RefusedError(404, "Resource not found")
        return Response(200, self.videos[public_id], {"Content-Type": "video/mp4"})

    def _post(self, request: Request) -> Response:
        upload_id = request.headers.get("x-unique-upload-id")
        content_range = request.headers.get("content-range")
        status = 400
        try:
            response = self._chunk(request, upload_id, content_range)
            status = response.status
        except _RefusedError as refused:
            status = refused.status
            raise
        finally:
            self.chunk_requests.append(ChunkRequest(upload_id, content_range, status))
        return response

    def _chunk(
        self, request: Request, upload_id: str | None, content_range: str | None
    ) -> Response:
        match = re.fullmatch(rf"/v1_1/{self.cloud_name}/(video|image|raw)/upload", request.path)
        if match is None:
            raise _RefusedError(401, f"Invalid path {request.path}")
        params, file_name, chunk = _form(request)
        self._check_signature(params)
        start, total_bytes = _range(content_range, len(chunk))
        if total_bytes > self.max_video_bytes:
            raise _RefusedError(
                400,
                f"File size too large. Got {total_bytes}. Maximum is {self.max_video_bytes}.",
            )
        if not upload_id:
            raise _RefusedError(400, "Missing X-Unique-Upload-Id")
        upload = self._uploads.setdefault(upload_id, _Upload(total_bytes, params))
        _add(upload, start, chunk, total_bytes, params)
        if upload.received_bytes < total_bytes:
            return _json(200, {"done": False, "bytes": upload.received_bytes})
        return self._finish(upload, file_name, match[1])

    def _check_signature(self, params: dict[str, str]) -> None:
        if params.get("api_key") != self.api_key:
            raise _RefusedError(401, "Unknown API key")
        if abs(time.time() - int(params.get("timestamp", "0"))) > _MAX_CLOCK_SKEW_S:
            raise _RefusedError(401, "Stale request")
        to_sign = "&".join(
            f"{name}={value}".replace("&", "%26")
            for name, value in sorted(params.items())
            if name not in _UNSIGNED_FIELDS
        )
        expected = hashlib.sha1((to_sign + self.api_secret).encode()).hexdigest()
        if params.get("signature") != expected:
            raise _RefusedError(
                401, f"Invalid Signature {params.get('signature')}. String to sign - '{to_sign}'."
            )

    def _finish(self, upload: _Upload, file_name: str, resource_type: str) -> Response:
        folder, name = upload.params.get("folder"), upload.params["public_id"]
        public_id = f"{folder}/{name}" if folder else name
        self.videos[public_id] = upload.content
        self.video_params[public_id] = upload.params
        self.resource_types[public_id] = resource_type
        suffix = "" if resource_type == "raw" else f".{file_name.rpartition('.')[2]}"
        location = self.url(f"{self.cloud_name}/{resource_type}/upload/v1/{public_id}{suffix}")
        answer = {
            "public_id": public_id,
            "resource_type": resource_type,
            "bytes": len(upload.content),
            "url": location,
            "secure_url": location,
        }
        return _json(200, answer)


def _form(request: Request) -> tuple[dict[str, str], str, bytes]:
    """The form's plain fields, the file's name and its bytes."""
    mime_type, options = parse_options_header(request.headers.get("content-type"))
    if mime_type != "multipart/form-data":
        raise _RefusedError(400, f"Unexpected content type {mime_type!r}")
    parser = FormDataParser(stream_factory=_in_memory)
    _, fields, files = parser.parse(io.BytesIO(request.body), mime_type, len(request.body), options)
    if "file" not in files:
        raise _RefusedError(400, "Missing required parameter - file")
    return dict(fields), files["file"].filename or "", files["file"].read()


def _in_memory(
    total_content_length: int | None,
    content_type: str | None,
    filename: str | None,
    content_length: int | None = None,
) -> io.BytesIO:
    # The parser's own choice for large parts is a temporary file that nobody closes.
    del total_content_length, content_type, filename, content_length
    return io.BytesIO()


def _range(content_range: str | None, chunk_bytes: int) -> tuple[int, int]:
    """First byte and total, from a Content-Range that fits the chunk."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range or "")
    if match is None:
        raise _RefusedError(400, f"Invalid Content-Range {content_range!r}")
    start, end, total_bytes = map(int, match.groups())
    if end - start + 1 != chunk_bytes or end >= total_bytes:
        raise _RefusedError(400, f"{content_range} does not fit {chunk_bytes} bytes")
    if chunk_bytes < MIN_CHUNK_BYTES and end != total_bytes - 1:
        raise _RefusedError(400, f"A chunk of {chunk_bytes} bytes is too small")
    return start, total_bytes


def _add(
    upload: _Upload, start: int, chunk: bytes, total_bytes: int, params: dict[str, str]
) -> None:
    if total_bytes != upload.total_bytes or _stable(params) != _stable(upload.params):
        raise _RefusedError(400, "The parameters changed during the upload")
    if upload.chunks.get(start, chunk) != chunk:
        raise _RefusedError(400, f"The chunk at {start} changed when it was sent again")
    if start not in upload.chunks and start != upload.received_bytes:
        raise _RefusedError(400, f"Expected byte {upload.received_bytes}, got {start}")
    upload.chunks[start] = chunk


def _stable(params: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in params.items() if k not in ("timestamp", "signature")}


def _json(status: int, content: dict[str, Any]) -> Response:
    return Response(status, json.dumps(content).encode(), {"Content-Type": "application/json"})
