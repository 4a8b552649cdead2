"""Progress in words, as users read it in the status of their job."""

from collections.abc import Callable
from pathlib import Path

from rvm_client.download import DownloadProgress
from rvm_client.pipeline import MatteProgress
from rvm_client.upload import UploadProgress


class UploadMessages:
    """Upload progress in words, over all files of the result."""

    def __init__(self, message: Callable[[str], None], store: str, files: list[Path]) -> None:
        self._message = message
        self._store = store
        self._total_bytes = sum(path.stat().st_size for path in files)
        self._before_bytes = 0

    def __call__(self, progress: UploadProgress) -> None:
        sent_bytes = self._before_bytes + progress.sent_bytes
        percent = 100 * sent_bytes // max(1, self._total_bytes)
        self._message(f"Uploading to {self._store} ({percent}%)")

    def next_file(self, path: Path) -> None:
        """Count a file as sent."""
        self._before_bytes += path.stat().st_size


class DownloadMessages:
    """Download progress in words; a download that starts again does not go back."""

    def __init__(self, message: Callable[[str], None]) -> None:
        self._message = message
        self._most_bytes = -1
        message("Downloading (0%)")

    def __call__(self, progress: DownloadProgress) -> None:
        if progress.received_bytes <= self._most_bytes:
            return
        self._most_bytes = progress.received_bytes
        if progress.total_bytes:
            percent = min(100, 100 * progress.received_bytes // progress.total_bytes)
            self._message(f"Downloading ({percent}%)")
        else:
            self._message(f"Downloading ({progress.received_bytes / 1e6:.1f} MB)")


def processing_message(progress: MatteProgress) -> str:
    """Matting progress in words."""
    if progress.frames_expected is None:
        return f"Processing ({progress.frames_done} frames)"
    percent = min(100, 100 * progress.frames_done // progress.frames_expected)
    return f"Processing ({percent}%)"
