"""What happens to a source before anything is matted: fetched, looked at, made playable."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from rvm_client.closing import Closing
from rvm_client.errors import RvmError, StoppedError
from rvm_client.web.lanes import Lane, Task
from rvm_client.web.records import Look, Video
from rvm_client.web.shop import Shop

_LOG = logging.getLogger(__name__)

# A file that still comes is looked at when it has so many bytes, and again at each doubling.
_FIRST_LOOK_BYTES = 256 * 1024
_STEP = 2
_FETCHES_AT_ONCE = 2
_TELL_S = 0.2


class SourceWork(Closing):
    """Lanes of work on sources.

    Args:
        shop: what is needed.
        on_first_second: called with a video whose first second is there, to be matted.
    """

    def __init__(self, shop: Shop, on_first_second: Callable[[Video], None]) -> None:
        self._shop, self._on_first_second = shop, on_first_second
        self._fetching = Lane("fetch", _FETCHES_AT_ONCE)
        # One at a time: that a video has its preview is seen by the next look at it.
        self._looking = Lane("look")
        self._copying = Lane("copy")
        self.lanes = (self._fetching, self._looking, self._copying)
        self._next_look = dict[str, int]()

    def close(self) -> None:
        """Stop."""
        for lane in self.lanes:
            lane.close()

    def take_up(self, video: Video) -> None:
        """Go on with what a process before this one had begun."""
        received = self._shop.folders.received_bytes(video)
        if video.state == "fetching" and received == 0:
            self.fetch(video)
        elif video.state in ("uploading", "fetching"):
            self._shop.book.change_video(video.id, kept=False, received_bytes=received)
            if video.state == "fetching" or received == video.total_bytes:
                self.all_came(video)
        elif video.state == "ready" and video.preview is None:
            self.all_came(video)
        elif video.state == "ready" and video.source_file is None:
            self._copy(video)

    def fetch(self, video: Video) -> None:
        """Fetch a video from its URL."""
        self._submit(self._fetching, video, self._fetch)

    def more_came(self, video: Video, received_bytes: int) -> None:
        """Try to look at a file of which there is more now; in one thread only."""
        if received_bytes >= self._next_look.get(video.id, _FIRST_LOOK_BYTES):
            self._next_look[video.id] = received_bytes * _STEP
            self._submit(self._looking, video, self._look_early)

    def all_came(self, video: Video) -> None:
        """Look at a file that is whole."""
        self._next_look.pop(video.id, None)
        self._submit(self._looking, video, self._look)

    def _copy(self, video: Video) -> None:
        self._submit(self._copying, video, self._make_proxy)

    def _submit(
        self, lane: Lane, video: Video, work: Callable[[Video, threading.Event], None]
    ) -> None:
        def run(cancelled: threading.Event) -> None:
            # As it is when its turn comes.
            now = self._shop.book.video(video.id)
            if now is None:
                return
            try:
                work(now, cancelled)
            except StoppedError:
                pass
            except RvmError as exc:
                self._fail(now, self._shop.sentence(exc, now))
            except Exception as exc:
                _LOG.exception("Work on a source failed")
                self._fail(now, f"an internal error ({type(exc).__name__}) stopped the work")

        lane.submit(Task(video.session, video.id, run))

    def _fail(self, video: Video, sentence: str) -> None:
        self._shop.book.change_video(video.id, state="failed", error=sentence, url=None)
        self._shop.folders.source(video).unlink(missing_ok=True)

    def _fetch(self, video: Video, cancelled: threading.Event) -> None:
        from rvm_client.web.fetching import fetch

        told_s = 0.0

        def tell(received: int, total: int | None) -> None:
            nonlocal told_s
            if time.monotonic() - told_s >= _TELL_S:
                told_s = time.monotonic()
                self._shop.book.change_video(
                    video.id, kept=False, received_bytes=received, total_bytes=total
                )

        source = self._shop.folders.source(video)
        size = fetch(video.url or "", source, self._shop.options, cancelled, tell)
        there = self._shop.book.change_video(
            video.id, url=None, received_bytes=size, total_bytes=size
        )
        if there is not None:
            self.all_came(there)

    def _look_early(self, video: Video, cancelled: threading.Event) -> None:
        """The first second of a file that still comes; it may take more of it."""
        from rvm_client.web.sources import is_first_second_whole, write_first_second

        if video.state != "uploading" or video.preview is not None:
            return
        folder, tools = self._shop.folders.of(video), self._shop.workplace.tools(cancelled)
        with suppress(RvmError), tools.decoders.job(folder, cancelled) as opener:
            source = self._shop.folders.source(video)
            info, frames = write_first_second(source, folder, tools.limits, opener, cancelled)
            if is_first_second_whole(info, frames):
                self._preview(video)

    def _look(self, video: Video, cancelled: threading.Event) -> None:
        """What a whole file is."""
        from rvm_client.web.sources import POSTER_NAME, inspect, write_first_second, write_poster

        folder, source = self._shop.folders.of(video), self._shop.folders.source(video)
        tools = self._shop.workplace.tools(cancelled)
        with tools.decoders.job(folder, cancelled) as opener:
            found = inspect(source, tools.limits, opener)
            write_poster(source, folder / POSTER_NAME, tools.limits, opener)
            ready = self._shop.book.change_video(
                video.id,
                state="ready",
                width=found.info.width_pixels,
                height=found.info.height_pixels,
                fps=round(float(found.info.average_fps), 3),
                frames=found.info.frame_count_from_header,
                duration_seconds=found.info.duration_seconds,
                has_sound=found.has_sound,
                poster_file=POSTER_NAME,
                source_type=found.played_type,
                source_file=None if found.played_type is None else source.name,
                received_bytes=source.stat().st_size,
                touched_at=time.time(),
            )
            if ready is not None and ready.preview is None:
                write_first_second(source, folder, tools.limits, opener, cancelled)
                self._preview(ready)
        if ready is not None and ready.source_file is None:
            self._copy(ready)

    def _preview(self, video: Video) -> None:
        from rvm_client.web.sources import PREVIEW_SOURCE_NAME

        look = Look(kind=video.look_kind, source_file=PREVIEW_SOURCE_NAME)
        changed = self._shop.book.change_video(video.id, preview=look)
        if changed is not None:
            self._on_first_second(changed)

    def _make_proxy(self, video: Video, cancelled: threading.Event) -> None:
        from rvm_client.web.sources import PROXY_NAME, write_proxy

        folder, tools = self._shop.folders.of(video), self._shop.workplace.tools(cancelled)
        try:
            with tools.decoders.job(folder, cancelled) as opener:
                source = self._shop.folders.source(video)
                write_proxy(source, folder, tools.limits, opener, cancelled)
        except (StoppedError, OSError):
            raise
        except RvmError as exc:
            # It may be matted all the same; if not, its job says why.
            sentence = self._shop.sentence(exc, video)
            _LOG.warning("There is no copy of a source for browsers: %s", sentence)
            return
        self._shop.book.change_video(video.id, source_file=PROXY_NAME)
