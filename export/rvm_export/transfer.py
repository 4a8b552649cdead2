"""A file from an http or https URL, within limits of size and time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import tenacity
import urllib3

from rvm_export.errors import TransferError

_BLOCK_BYTES = 2**18

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that came, and those that are to come in all, where the server says."""


@dataclass(frozen=True)
class TimeLimits:
    """How long a server may keep us waiting. Without internet, seconds should settle it."""

    connect_s: float = 3.0
    idle_s: float = 10.0
    total_s: float = 300.0


class _InterruptedError(TransferError):
    """The transfer broke off, or the server is unwell; another try may succeed."""


def fetch(
    url: str,
    file: Path,
    limits: TimeLimits,
    max_bytes: int,
    *,
    on_progress: OnProgress | None = None,
    decode: bool = False,
) -> None:
    """Fetch a file; a server that is unwell is asked up to three times.

    Args:
        url: of the file; what is behind its `?` is in no message, as a signature may be.
        file: to write; half of it may be there after an error.
        limits: of time, the total over all attempts and waits.
        max_bytes: more than this is not the file.
        on_progress: called while it comes.
        decode: undo the Content-Encoding, which for some servers is what the file itself is.

    Raises:
        TransferError: it cannot be fetched.
    """
    deadline_s = time.monotonic() + limits.total_s
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_InterruptedError),
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_exponential(0.2),
        reraise=True,
    )
    attempts(_Transfer(url, file, limits, max_bytes, deadline_s, on_progress, decode).attempt)


@dataclass(frozen=True)
class _Transfer:
    url: str
    file: Path
    limits: TimeLimits
    max_bytes: int
    deadline_s: float
    on_progress: OnProgress | None
    decode: bool

    def attempt(self) -> None:
        timeouts = (self.limits.connect_s, self.limits.idle_s)
        try:
            with requests.get(self.url, stream=True, timeout=timeouts) as answer:
                self._check_status(answer)
                self._write(answer)
        except requests.RequestException as exc:
            raise TransferError(f"cannot reach {self._shown}: {type(exc).__name__}") from exc
        except urllib3.exceptions.HTTPError as exc:
            raise _InterruptedError(f"{self._shown} broke off: {type(exc).__name__}") from exc

    @property
    def _shown(self) -> str:
        return urlsplit(self.url)._replace(query="", fragment="").geturl()

    def _check_status(self, answer: requests.Response) -> None:
        if answer.status_code != 200:
            problem = _InterruptedError if answer.status_code >= 500 else TransferError
            raise problem(f"{self._shown} answered {answer.status_code} {answer.reason}")

    def _write(self, answer: requests.Response) -> None:
        """The body, within the limits; urllib3 checks its length."""
        said = answer.headers.get("Content-Length", "")
        total = int(said) if said.isascii() and said.isdigit() else None
        written = 0
        with self.file.open("wb") as out:
            # read1 returns what has arrived: a server that trickles cannot outwait the deadline.
            while block := answer.raw.read1(_BLOCK_BYTES, decode_content=self.decode):
                written += out.write(block)
                if self.on_progress is not None:
                    self.on_progress(written, total)
                if written > self.max_bytes:
                    raise TransferError(f"{self._shown} sends more than {self.max_bytes} bytes")
                if time.monotonic() > self.deadline_s:
                    raise TransferError(f"{self._shown} takes too long")
