"""What is done with videos in the background: fetched, looked at, previewed, matted."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from rvm_client.closing import Closing
from rvm_client.errors import RvmError, StoppedError
from rvm_client.web.book import Book
from rvm_client.web.folders import Folders
from rvm_client.web.lanes import Lane, Task
from rvm_client.web.records import Job, Look, LookKind, Video
from rvm_client.web.settings import PageOptions
from rvm_client.web.triton import Workplace

_LOG = logging.getLogger(__name__)

# A file that still comes is looked at when it has so many bytes, and at each doubling.
_FIRST_LOOK_BYTES = 256 * 1024
_STEP = 2
# What a task has to end in when its video is removed.
_END_S = 10.0


class Workshop(Closing):
    """Lanes of work, each fair between sessions.

    Args:
        options: of the page.
        book: what is known.
        folders: where files lie.
        on_places: called when places in the queue or the machine have changed, in any thread.
    """

    def __init__(
        self, options: PageOptions, book: Book, folders: Folders, on_places: Callable[[], None]
    ) -> None:
        self._options, self._book, self._folders = options, book, folders
        self.workplace = Workplace(options.settings, on_places, self._widen)
        self._fetching = Lane("fetch", 2)
        self._looking = Lane("look", 1)
        self._previewing = Lane("preview", 1)
        self._playing = Lane("proxy", 1)
        self.matting = Lane("matte", 0, on_places)
        self._lock = threading.Lock()
        self._next_look: dict[str, int] = {}
        self._has_first_second: set[str] = set()
        self._closing = False

    def start(self) -> None:
        """Bring up the machine, and take up what was left."""
        self.workplace.start()
        for video in self._book.videos():
            self._take_up(video)
        for job in self._book.jobs():
            if not job.is_over:
                self._book.change_job(job.id, state="queued", doing="", frames_done=0, look=None)
                self._submit_job(job)

    def close(self) -> None:
        """Stop all work; what was not done is begun again at the next start."""
        self._closing = True
        lanes = (self._fetching, self._looking, self._previewing, self._playing, self.matting)
        for lane in lanes:
            lane.stop()
        self.workplace.close()
        for lane in lanes:
            lane.close()

    # What the page asks for.

    def fetch(self, video: Video) -> None:
        """Fetch a video from its URL."""
        self._fetching.submit(Task(video.session, video.id, lambda c: self._fetch(video, c)))

    def more_came(self, video: Video, received_bytes: int) -> None:
        """Try a preview of a file of which there is more now."""
        with self._lock:
            if video.id in self._has_first_second:
                return
            if received_bytes < self._next_look.get(video.id, _FIRST_LOOK_BYTES):
                return
            self._next_look[video.id] = received_bytes * _STEP
        self._looking.submit(
            Task(video.session, f"{video.id} early", lambda c: self._look_early(video, c))
        )

    def all_came(self, video: Video) -> None:
        """Look at a file that is whole."""
        self._looking.submit(Task(video.session, video.id, lambda c: self._look(video, c)))

    def matte(self, job: Job) -> None:
        """Do a job when its turn comes."""
        self._submit_job(job)

    def end_job(self, job: Job) -> None:
        """Cancel a job, or remove one that is over with its files."""
        if job.is_over:
            self._book.remove_job(job.id)
            video = self._book.video(job.video_id)
            for path in self._folders.of(video).glob(f"{job.id}*") if video else ():
                path.unlink()
        elif not self.matting.cancel(job.id):
            self._book.change_job(job.id, state="cancelled", doing="")

    def remove(self, video: Video) -> None:
        """Stop all work on a video, and remove its files."""
        for lane in (self._fetching, self._looking, self._previewing, self._playing):
            for key in (video.id, f"{video.id} early"):
                lane.cancel(key)
        jobs = self._book.jobs(video.id)
        for job in jobs:
            self.matting.cancel(job.id)
        self._book.remove_video(video.id)
        for lane in (self._fetching, self._looking, self._previewing, self._playing):
            lane.wait_idle(video.id, _END_S)
        for job in jobs:
            self.matting.wait_idle(job.id, _END_S)
        self._folders.remove(video)
        with self._lock:
            self._next_look.pop(video.id, None)
            self._has_first_second.discard(video.id)

    # Threads of their own.

    def _widen(self, width: int) -> None:
        self.matting.widen(width)

    def _take_up(self, video: Video) -> None:
        if video.state == "fetching":
            self.fetch(video)
        elif video.state == "uploading":
            received = self._folders.received_bytes(video)
            self._book.change_video(video.id, kept=False, received_bytes=received)
            if received == video.total_bytes:
                self.all_came(video)
        elif video.state == "ready":
            if video.preview is not None and video.preview.state in ("queued", "working"):
                self._preview(video)
            if video.source_file is None:
                self._play(video)

    def _fetch(self, video: Video, cancelled: threading.Event) -> None:
        from rvm_client.web.fetching import fetch

        def tell(received: int, total: int | None) -> None:
            self._book.change_video(
                video.id, kept=False, received_bytes=received, total_bytes=total
            )

        try:
            size = fetch(
                video.url or "",
                self._folders.source(video),
                self._options,
                on_progress=tell,
                cancelled=cancelled,
            )
        except StoppedError:
            return
        except RvmError as exc:
            self._fail(video, exc)
            return
        self._book.change_video(
            video.id, url=None, received_bytes=size, total_bytes=size, state="uploading"
        )
        self._look_when_idle(video)

    def _look_when_idle(self, video: Video) -> None:
        self.all_came(video)

    def _look_early(self, video: Video, cancelled: threading.Event) -> None:
        """The preview of a file that still comes; it may take more of it."""
        from rvm_client.web.sources import (
            POSTER_NAME,
            is_first_second_whole,
            write_first_second,
            write_poster,
        )

        now = self._book.video(video.id)
        if now is None or now.state != "uploading" or video.id in self._has_first_second:
            return
        folder = self._folders.of(video)
        with suppress(RvmError):
            tools = self.workplace.tools(cancelled)
            with tools.decoders.job(folder, cancelled) as opener:
                source = self._folders.source(video)
                info, frames = write_first_second(source, folder, tools.limits, opener, cancelled)
                if not is_first_second_whole(info, frames):
                    return
                write_poster(source, folder / POSTER_NAME, tools.limits, opener)
            self._book.change_video(video.id, poster_file=POSTER_NAME)
            self._first_second(video, frames)

    def _look(self, video: Video, cancelled: threading.Event) -> None:
        """What a whole file is."""
        from rvm_client.web.sources import POSTER_NAME, inspect, write_first_second, write_poster

        folder, source = self._folders.of(video), self._folders.source(video)
        try:
            tools = self.workplace.tools(cancelled)
            with tools.decoders.job(folder, cancelled) as opener:
                found = inspect(source, tools.limits, opener)
                info = found.info
                if not (folder / POSTER_NAME).exists():
                    write_poster(source, folder / POSTER_NAME, tools.limits, opener)
                ready = self._book.change_video(
                    video.id,
                    state="ready",
                    width=info.width_pixels,
                    height=info.height_pixels,
                    fps=float(info.average_fps),
                    frames=info.frame_count_from_header,
                    duration_seconds=info.duration_seconds,
                    has_sound=found.has_sound,
                    poster_file=POSTER_NAME,
                    source_type=found.played_type,
                    source_file=None if found.played_type is None else "source",
                    touched_at=time.time(),
                )
                if ready is None:
                    return
                if video.id not in self._has_first_second:
                    _, frames = write_first_second(source, folder, tools.limits, opener, cancelled)
                    self._first_second(ready, frames)
                if found.played_type is None:
                    self._play(ready)
        except StoppedError:
            return
        except RvmError as exc:
            self._fail(video, exc)

    def _first_second(self, video: Video, frames: int) -> None:
        with self._lock:
            self._has_first_second.add(video.id)
        now = self._book.video(video.id)
        if now is None:
            return
        kind: LookKind = now.look_kind
        look = Look(kind=kind, source_file="preview-source.mp4", frames=frames)
        changed = self._book.change_video(video.id, preview=look)
        if changed is not None:
            self._preview(changed)

    def _preview(self, video: Video) -> None:
        self._previewing.submit(
            Task(video.session, video.id, lambda c: self._matte_preview(video, c))
        )

    def _matte_preview(self, video: Video, cancelled: threading.Event) -> None:
        from rvm_client.web.matting import matte_preview

        look = video.preview
        assert look is not None
        try:
            with self.workplace.open_model(cancelled) as model:
                self._book.change_video(
                    video.id, kept=False, preview=look.model_copy(update={"state": "working"})
                )
                tools = self.workplace.tools(cancelled)
                done = matte_preview(video, look, self._folders, tools, model, cancelled)
        except StoppedError:
            return
        except RvmError as exc:
            done = look.model_copy(update={"state": "failed", "error": str(exc)})
        self._book.change_video(video.id, preview=done)

    def _play(self, video: Video) -> None:
        self._playing.submit(Task(video.session, video.id, lambda c: self._make_proxy(video, c)))

    def _make_proxy(self, video: Video, cancelled: threading.Event) -> None:
        from rvm_client.web.sources import PROXY_NAME, write_proxy

        folder = self._folders.of(video)
        try:
            tools = self.workplace.tools(cancelled)
            with tools.decoders.job(folder, cancelled) as opener:
                write_proxy(self._folders.source(video), folder, tools.limits, opener, cancelled)
        except RvmError as exc:
            # It can be matted all the same, or the job says why not.
            _LOG.warning("No version of a source for browsers could be made: %s", exc)
            return
        self._book.change_video(video.id, source_file=PROXY_NAME)

    def _submit_job(self, job: Job) -> None:
        self.matting.submit(Task(job.session, job.id, lambda c: self._do_job(job, c)))

    def _do_job(self, job: Job, cancelled: threading.Event) -> None:
        from rvm_client.web.matting import do_job

        self._book.change_job(job.id, state="working", doing="starting")
        video = self._book.video(job.video_id)
        if video is None:
            return
        folder = self._folders.of(video)
        try:
            changes = do_job(job, video, self._folders, self.workplace, self._book, cancelled)
        except StoppedError:
            if self._closing:
                return
            changes = {"state": "cancelled"}
        except RvmError as exc:
            changes = {"state": "failed", "error": str(exc)}
        except Exception as exc:
            _LOG.exception("A job failed")
            changes = {
                "state": "failed",
                "error": f"an internal error ({type(exc).__name__}) stopped the job",
            }
        if changes["state"] != "done":
            shutil.rmtree(folder / job.id, ignore_errors=True)
        self._book.change_job(job.id, doing="", seconds_left=None, **changes)
        self._book.touch(video.id)

    def _fail(self, video: Video, exc: RvmError) -> None:
        sentence = str(exc).replace(str(self._folders.source(video)), video.name)
        self._book.change_video(video.id, state="failed", error=sentence, url=None)
        self._folders.source(video).unlink(missing_ok=True)
