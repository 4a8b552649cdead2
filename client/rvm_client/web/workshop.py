"""All work on videos, from what was left at the last end to what is left at this one."""

from collections.abc import Callable

from rvm_client.closing import Closing
from rvm_client.web.book import Book
from rvm_client.web.database import Measures
from rvm_client.web.folders import Folders
from rvm_client.web.matte_work import MatteWork
from rvm_client.web.records import Video
from rvm_client.web.settings import PageOptions
from rvm_client.web.shop import Shop
from rvm_client.web.source_work import SourceWork
from rvm_client.web.workplace import Workplace

# What a task has to end in when its video is removed.
_END_S = 10.0


class Workshop(Closing):
    """Work on sources, and for the matting server.

    Args:
        options: of the page.
        book: what is known.
        measures: what is known of earlier work.
        folders: where files lie.
        on_change: called when the queue or the machine has changed, in any thread.
    """

    def __init__(
        self,
        options: PageOptions,
        book: Book,
        measures: Measures,
        folders: Folders,
        on_change: Callable[[], None],
    ) -> None:
        self.workplace = Workplace(options.settings, on_change, self._widen)
        self.shop = Shop(options, book, measures, folders, self.workplace)
        self.mattes = MatteWork(self.shop, on_change)
        self.sources = SourceWork(self.shop, self.mattes.preview)

    def start(self) -> None:
        """Bring up the machine, and take up what was left."""
        self.workplace.start()
        for video in self.shop.book.videos():
            self.sources.take_up(video)
            self.mattes.take_up(video)

    def close(self) -> None:
        """Stop all work."""
        for lane in (*self.sources.lanes, *self.mattes.lanes):
            lane.stop()
        self.sources.close()
        self.mattes.close()
        self.workplace.close()

    def remove(self, video: Video) -> None:
        """Stop all work on a video, and remove its files; waits until it is done."""
        keys = [video.id, *(job.id for job in self.shop.book.jobs(video.id))]
        lanes = (*self.sources.lanes, *self.mattes.lanes)
        for lane in lanes:
            for key in keys:
                lane.cancel(key)
        self.shop.book.remove_video(video.id)
        for lane in lanes:
            for key in keys:
                lane.wait_done(key, _END_S)
        self.shop.folders.remove(video)

    def _widen(self, width: int) -> None:
        self.mattes.jobs.widen(width)
