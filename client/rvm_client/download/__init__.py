"""A stranger's URL to a file."""

from rvm_client.download.download import DownloadLimits, DownloadProgress, DownloadResult, download

__all__ = [
    "DownloadLimits",
    "DownloadProgress",
    "DownloadResult",
    "download",
]
