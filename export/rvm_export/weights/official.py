"""The official checkpoint of RVM MobileNetV3, fetched from its release page."""

import time
from dataclasses import dataclass
from pathlib import Path

import requests
import tenacity
import urllib3

from rvm_export.weights.cache import Cache
from rvm_export.hashes import sha256_of
from rvm_export.weights.checkpoint import read_checkpoint
from rvm_export.errors import SourceError, WeightsError

OFFICIAL_URL = (
    "https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/rvm_mobilenetv3.pth"
)
FILE_NAME = "rvm_mobilenetv3.pth"

# The file has 15 MB; more than this is not it.
MAX_BYTES = 64 * 2**20
_BLOCK_BYTES = 2**18


@dataclass(frozen=True)
class TimeLimits:
    """How long a server may keep us waiting. Without internet, seconds should settle it."""

    connect_s: float = 3.0
    idle_s: float = 10.0
    total_s: float = 300.0


class _InterruptedError(SourceError):
    """The transfer broke off, or the server is unwell; another try may succeed."""


def fetch_official(
    cache: Cache,
    url: str = OFFICIAL_URL,
    sha256: str | None = None,
    limits: TimeLimits | None = None,
) -> Path:
    """Download the checkpoint into the cache, checked as far as anything is known of it.

    Args:
        cache: where the file goes, as `rvm_mobilenetv3.pth`.
        url: of the file.
        sha256: the hash it must have, if known. Keys, shapes and values are always checked.
        limits: of time.

    Raises:
        SourceError: it cannot be fetched, or what came is not the checkpoint.
    """
    with cache.workspace() as folder:
        file = folder / FILE_NAME
        _download(url, file, limits or TimeLimits())
        actual = sha256_of(file)
        if sha256 not in (None, actual):
            raise SourceError(f"{url} has the SHA-256 {actual}, not {sha256}")
        try:
            read_checkpoint(file)
        except WeightsError as exc:
            raise SourceError(f"what {url} sent is not the RVM checkpoint") from exc
        return cache.add(file, FILE_NAME)


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(_InterruptedError),
    stop=tenacity.stop_after_attempt(3),
    wait=tenacity.wait_exponential(0.2),
    reraise=True,
)
def _download(url: str, file: Path, limits: TimeLimits) -> None:
    deadline = time.monotonic() + limits.total_s
    try:
        timeouts = (limits.connect_s, limits.idle_s)
        with requests.get(url, stream=True, timeout=timeouts) as answer:
            _check_status(answer)
            _write(answer, file, deadline)
    except requests.RequestException as exc:
        raise SourceError(f"cannot reach {url}: {type(exc).__name__}") from exc
    except urllib3.exceptions.HTTPError as exc:
        raise _InterruptedError(f"{url} broke off: {type(exc).__name__}") from exc


def _check_status(answer: requests.Response) -> None:
    if answer.status_code != 200:
        problem = _InterruptedError if answer.status_code >= 500 else SourceError
        raise problem(f"{answer.url} answered {answer.status_code} {answer.reason}")


def _write(answer: requests.Response, file: Path, deadline: float) -> None:
    """The body into `file`, within the limits of size and time; urllib3 checks its length."""
    written = 0
    with file.open("wb") as out:
        # read1 returns what has arrived: a server that trickles cannot outwait the deadline.
        while block := answer.raw.read1(_BLOCK_BYTES, decode_content=True):
            written += out.write(block)
            if written > MAX_BYTES:
                raise SourceError(f"{answer.url} sends more than {MAX_BYTES} bytes")
            if time.monotonic() > deadline:
                raise SourceError(f"{answer.url} takes too long")
