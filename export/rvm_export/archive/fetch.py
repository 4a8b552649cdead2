"""An archive from a URL, within limits of size and time."""

from pathlib import Path

from rvm_export.archive.contents import MAX_ARCHIVE_BYTES
from rvm_export.errors import ArchiveError, TransferError
from rvm_export.transfer import OnProgress, TimeLimits, fetch


def is_url(source: str) -> bool:
    """Whether it is to be fetched, and not a file's name."""
    return source.lower().startswith(("http://", "https://"))


def fetch_archive(
    url: str, file: Path, on_progress: OnProgress, limits: TimeLimits | None = None
) -> None:
    """Fetch what is at an http or https URL into a file.

    Raises:
        ArchiveError: it cannot be fetched.
    """
    limits = limits or TimeLimits(connect_s=5, idle_s=30, total_s=1800)
    try:
        fetch(url, file, limits, MAX_ARCHIVE_BYTES, on_progress=on_progress)
    except TransferError as exc:
        raise ArchiveError(str(exc)) from exc
