"""What all work on videos shares."""

from dataclasses import dataclass

from rvm_client.errors import RvmError
from rvm_client.web.book import Book
from rvm_client.web.database import Measures
from rvm_client.web.folders import Folders
from rvm_client.web.records import Video
from rvm_client.web.settings import PageOptions
from rvm_client.web.workplace import Workplace


@dataclass(frozen=True)
class Shop:
    """Where work finds what it needs."""

    options: PageOptions
    book: Book
    measures: Measures
    folders: Folders
    workplace: Workplace

    def sentence(self, exc: RvmError, video: Video) -> str:
        """What the page is told: files by the names that its user knows."""
        folder = self.folders.of(video)
        named = str(exc).replace(str(self.folders.source(video)), video.name)
        return named.replace(f"{folder}/", "").replace(str(folder), "the video's folder")
