"""What a request gets that cannot be done: a status, and one sentence."""

from typing import Any

from starlette.responses import JSONResponse, Response

from rvm_client.errors import printable

_RETRY_S = 30


class RefusedError(Exception):
    """A request that is refused. `more` goes into the answer beside the sentence."""

    def __init__(self, status: int, sentence: str, **more: Any) -> None:
        super().__init__(printable(sentence))
        self.status, self.more = status, more


def not_found() -> RefusedError:
    """For what is not there, and for what is another session's: they look the same."""
    return RefusedError(404, "there is no such thing here; it may be gone")


def as_response(refused: RefusedError) -> Response:
    """A refusal as the page reads it."""
    headers = {"Retry-After": str(_RETRY_S)} if refused.status in (429, 503) else {}
    return JSONResponse({"error": str(refused), **refused.more}, refused.status, headers)
