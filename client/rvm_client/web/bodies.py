"""What comes in with a request, read with limits."""

import json
import re
from typing import Any

import anyio
from starlette.requests import Request

from rvm_client.errors import printable
from rvm_client.web.records import LookKind
from rvm_client.web.refusals import RefusedError

_JSON_TIMEOUT_S = 20.0
_JSON_BYTES = 65_536
_LONGEST_NAME = 200
_NO_NAME = re.compile(r"[\x00-\x1f\x7f/\\]+")
_NUMBER = re.compile(r"\d{1,15}")


async def read_json(request: Request) -> dict[str, Any]:
    """The body as an object.

    Raises:
        RefusedError: it is none, too large, or too slow.
    """
    body = bytearray()
    with anyio.move_on_after(_JSON_TIMEOUT_S) as scope:
        async for part in request.stream():
            body += part
            if len(body) > _JSON_BYTES:
                raise RefusedError(413, "the request is too large")
    if scope.cancelled_caught:
        raise RefusedError(408, "the request took too long to come")
    try:
        given = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise RefusedError(422, "the request must be a JSON object")
    return given


def read_number(request: Request, header: str) -> int:
    """A number of bytes in a header, 0 without it. Raises: RefusedError: it is none."""
    text = request.headers.get(header, "0")
    if not _NUMBER.fullmatch(text):
        raise RefusedError(422, f"{header} must be a number of bytes")
    return int(text)


def look_kind(given: dict[str, Any]) -> LookKind:
    """What the browser says that it can show. Raises: RefusedError: it is neither."""
    kind = given.get("look", "webm")
    if kind not in ("webm", "stacked"):
        raise RefusedError(422, "look must be webm or stacked")
    return "stacked" if kind == "stacked" else "webm"


def clean_name(name: object) -> str:
    """A name for people. It never becomes part of a path."""
    text = _NO_NAME.sub(" ", name if isinstance(name, str) else "").strip()
    return printable(text[:_LONGEST_NAME]) or "video"
