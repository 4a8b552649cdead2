"""Previews and jobs, each when its turn comes."""

import logging
import threading
from collections.abc import Callable

from rvm_client.closing import Closing
from rvm_client.errors import RvmError, StoppedError
from rvm_client.web.lanes import Lane, Task
from rvm_client.web.records import Job, Video
from rvm_client.web.shop import Shop

_LOG = logging.getLogger(__name__)


class MatteWork(Closing):
    """Lanes of work for the matting server. A preview does not wait for the jobs of others.

    Args:
        shop: what is needed.
        on_places: called when places in the queue have changed, in any thread.
    """

    def __init__(self, shop: Shop, on_places: Callable[[], None]) -> None:
        self._shop = shop
        self._previewing = Lane("preview")
        # As wide as the machine, once that is known.
        self.jobs = Lane("matte", 0, on_places)
        self.lanes = (self._previewing, self.jobs)
        self._closing = threading.Event()

    def close(self) -> None:
        """Stop; what was not done is begun again at the next start."""
        self._closing.set()
        for lane in self.lanes:
            lane.close()

    def take_up(self, video: Video) -> None:
        """Go on with what a process before this one had begun."""
        if video.preview is not None and video.preview.state in ("queued", "working"):
            self.preview(video)
        for job in self._shop.book.jobs(video.id):
            if not job.is_over:
                again = self._shop.book.change_job(
                    job.id, state="queued", doing="", frames_done=0, fps=None, seconds_left=None
                )
                self.do(again or job)

    def preview(self, video: Video) -> None:
        """Matte the first second of a video."""
        self._previewing.submit(
            Task(video.session, video.id, lambda cancelled: self._preview(video, cancelled))
        )

    def do(self, job: Job) -> None:
        """Do a job."""
        self.jobs.submit(Task(job.session, job.id, lambda cancelled: self._do(job, cancelled)))

    def end(self, job: Job) -> None:
        """Cancel a job, or remove one that is over with its files."""
        video = self._shop.book.video(job.video_id)
        if job.is_over and video is not None:
            self._shop.book.remove_job(job.id)
            self._remove_files(job, video)
        elif not self.jobs.cancel(job.id):
            self._shop.book.change_job(job.id, state="cancelled", doing="")

    def _preview(self, video: Video, cancelled: threading.Event) -> None:
        from rvm_client.web.matting import matte_preview

        look = video.preview
        assert look is not None

        try:
            with self._shop.workplace.open_model(cancelled) as model:
                working = look.model_copy(update={"state": "working"})
                self._shop.book.change_video(video.id, kept=False, preview=working)
                done = matte_preview(video, look, self._shop, model, cancelled)
        except StoppedError:
            return
        except Exception as exc:
            failed = {"state": "failed", "error": self._sentence(exc, video)}
            done = look.model_copy(update=failed)
        self._shop.book.change_video(video.id, preview=done)

    def _do(self, job: Job, cancelled: threading.Event) -> None:
        from rvm_client.web.matting import do_job

        video = self._shop.book.video(job.video_id)
        if video is None or cancelled.is_set():
            self._shop.book.change_job(job.id, state="cancelled")
            return
        self._shop.book.change_job(job.id, state="working", doing="starting")
        try:
            changes = do_job(job, video, self._shop, cancelled)
        except StoppedError:
            if self._closing.is_set():
                return
            changes = {"state": "cancelled"}
        except Exception as exc:
            changes = {"state": "failed", "error": self._sentence(exc, video)}
        if changes["state"] != "done":
            self._remove_files(job, video)
        self._shop.book.change_job(job.id, doing="", seconds_left=None, **changes)
        self._shop.book.touch(video.id)

    def _sentence(self, exc: Exception, video: Video) -> str:
        if isinstance(exc, RvmError):
            return self._shop.sentence(exc, video)
        _LOG.exception("Work on a video failed")
        return f"an internal error ({type(exc).__name__}) stopped the work"

    def _remove_files(self, job: Job, video: Video) -> None:
        for path in self._shop.folders.of(video).glob(f"{job.id}*"):
            path.unlink(missing_ok=True)
