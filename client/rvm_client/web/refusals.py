"""What a request gets that cannot be done: a status, and one sentence."""

from typing import Any

from rvm_client.errors import printable


class RefusedError(Exception):
    """A request that is refused. `more` goes into the answer beside the sentence."""

    def __init__(self, status: int, sentence: str, **more: Any) -> None:
        super().__init__(printable(sentence))
        self.status, self.more = status, more


def not_found() -> RefusedError:
    """For what is not there, and for what is another session's: they look the same."""
    return RefusedError(404, "there is no such thing here; it may be gone")
