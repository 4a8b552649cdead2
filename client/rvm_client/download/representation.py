"""What a server said about the file behind a URL, and whether a later answer continues it."""

import re
from dataclasses import dataclass

import requests
import urllib3

from rvm_client.errors import DownloadError
from rvm_client.net import redacted_url

# RFC 9110, section 14.4: "bytes first-last/complete", with * for an unknown length.
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)", re.ASCII)


@dataclass(frozen=True)
class Representation:
    """The headers that tell one state of a file from another."""

    total_bytes: int | None  # of the decoded body; None if not told
    etag: str | None
    last_modified: str | None
    encoded: bool  # the body has to be decoded, so bytes on the wire are not bytes of the file
    ranges: bool  # the server does not rule out Range requests

    @classmethod
    def of(cls, response: requests.Response) -> "Representation":
        """What `response` says, a 200 or a 206.

        Raises:
            DownloadError: its Content-Encoding cannot be decoded here.
        """
        headers = response.headers
        encoded = _is_encoded(response)
        part = _content_range(response)
        total = part[1] if part else response.raw.length_remaining
        return cls(
            total_bytes=None if encoded else total,
            etag=headers.get("ETag"),
            last_modified=headers.get("Last-Modified"),
            encoded=encoded,
            ranges=headers.get("Accept-Ranges", "").lower() != "none",
        )

    @property
    def resumable(self) -> bool:
        """Whether the rest can be asked for, and a changed file be noticed."""
        can_compare = self._validator or self.etag or self.total_bytes is not None
        return self.ranges and not self.encoded and bool(can_compare)

    def range_headers(self, offset_bytes: int) -> dict[str, str]:
        """The headers that ask for the rest, from `offset_bytes` on, if nothing has changed."""
        headers = {"Range": f"bytes={offset_bytes}-"}
        if self._validator:
            headers["If-Range"] = self._validator
        return headers

    def continued_by(self, response: requests.Response, offset_bytes: int) -> bool:
        """Whether the body of `response` is the rest of this, from `offset_bytes` on."""
        part = _content_range(response)
        if response.status_code != 206 or part is None or _is_encoded(response):
            return False
        first_byte, total = part
        return (
            first_byte == offset_bytes
            and total is not None
            and self.total_bytes in (None, total)
            and self.etag == response.headers.get("ETag", self.etag)
        )

    @property
    def _validator(self) -> str | None:
        """What If-Range may carry: a weak ETag is not allowed there (RFC 9110, 13.1.5)."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified


def _content_range(response: requests.Response) -> tuple[int, int | None] | None:
    """First byte and complete length of a 206 answer."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None or response.status_code != 206:
        return None
    return int(match[1]), None if match[3] == "*" else int(match[3])


def _is_encoded(response: requests.Response) -> bool:
    encodings = [e.strip().lower() for e in response.headers.get("Content-Encoding", "").split(",")]
    wanted = [e for e in encodings if e not in ("", "identity")]
    for encoding in wanted:
        if encoding not in urllib3.HTTPResponse.CONTENT_DECODERS:
            raise DownloadError(
                f"{redacted_url(response.url)} is sent with Content-Encoding {encoding[:20]!r}, "
                "which cannot be decoded here; send it without"
            )
    return bool(wanted)
