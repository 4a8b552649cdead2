"""An archive from a URL, within limits of size and time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import tenacity
import urllib3

from rvm_export.archive.contents import MAX_ARCHIVE_BYTES
from rvm_export.errors import ArchiveError

_BLOCK_BYTES = 2**18

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that came, and those that are to come in all, where the server says."""


@dataclass(frozen=True)
class TimeLimits:
    """How long a server may keep us waiting."""

    connect_s: float = 5.0
    idle_s: float = 30.0
    total_s: float = 1800.0


class _InterruptedError(ArchiveError):
    """The transfer broke off, or the server is unwell; another try may succeed."""


def is_url(source: str) -> bool:
    """Whether it is to be fetched, and not a file's name."""
    return source.lower().startswith(("http://", "https://"))


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(_InterruptedError),
    stop=tenacity.stop_after_attempt(3),
    wait=tenacity.wait_exponential(0.2),
    reraise=True,
)
def fetch_archive(
    url: str, file: Path, on_progress: OnProgress, limits: TimeLimits | None = None
) -> None:
    """Fetch what is at an http or https URL into a file.

    Raises:
        ArchiveError: it cannot be fetched.
    """
    limits = limits or TimeLimits()
    deadline = time.monotonic() + limits.total_s
    shown = urlsplit(url)._replace(query="", fragment="").geturl()  # a signed URL has its key there
    try:
        timeouts = (limits.connect_s, limits.idle_s)
        with requests.get(url, stream=True, timeout=timeouts) as answer:
            if answer.status_code != 200:
                problem = _InterruptedError if answer.status_code >= 500 else ArchiveError
                raise problem(f"{shown} answered {answer.status_code} {answer.reason}")
            _write(answer, file, deadline, on_progress, shown)
    except requests.RequestException as exc:
        raise ArchiveError(f"cannot reach {shown}: {type(exc).__name__}") from exc
    except urllib3.exceptions.HTTPError as exc:
        raise _InterruptedError(f"{shown} broke off: {type(exc).__name__}") from exc


def _write(
    answer: requests.Response, file: Path, deadline: float, on_progress: OnProgress, shown: str
) -> None:
    said = answer.headers.get("Content-Length", "")
    total = int(said) if said.isascii() and said.isdigit() else None
    written = 0
    with file.open("wb") as out:
        # read1 returns what has arrived: a server that trickles cannot outwait the deadline. The
        # bytes as they are: what some servers call an encoding is the archive itself.
        while block := answer.raw.read1(_BLOCK_BYTES, decode_content=False):
            written += out.write(block)
            on_progress(written, total)
            if written > MAX_ARCHIVE_BYTES:
                raise ArchiveError(f"{shown} sends more than {MAX_ARCHIVE_BYTES} bytes")
            if time.monotonic() > deadline:
                raise ArchiveError(f"{shown} takes too long")
