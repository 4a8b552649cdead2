"""An engine that splits long videos: another engine makes their segments, side by side."""

import re
import shutil
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from rvm_client.batch.engine import Backlog, Engine, Watcher
from rvm_client.batch.items import Item, Outcome, ServedModel, Status
from rvm_client.batch.pieces import Joining, Making, Planning
from rvm_client.closing import Closing
from rvm_client.errors import JoinError, UsageError
from rvm_client.options import is_url
from rvm_client.split import AUTO_SEGMENT_SECONDS, Chain, SplitPlan, Task, why_whole
from rvm_client.wire import Variant

_KEY_CHARACTERS = 12


@dataclass(frozen=True)
class Wish:
    """Which videos are split."""

    segment_seconds: float | None
    """About as long is each segment; None: as fits, where something is gained by it."""
    folder: Path | None
    """Of the results, for all machines; None: they go elsewhere."""
    many_machines: bool

    def planning(self) -> Planning:
        """The first piece of each item."""
        is_auto = self.segment_seconds is None
        return Planning(
            self.segment_seconds or AUTO_SEGMENT_SECONDS,
            only_if_side_by_side=is_auto and not self.many_machines,
        )

    def why_whole(self, item: Item) -> str | None:
        """Why an item cannot be split; None: it can."""
        if self.folder is None:
            return "its segments need a folder of results that all machines have"
        if is_url(item.source):
            return "it is a URL, which every machine would fetch for itself"
        if item.preview:
            return "the preview is chosen among all frames"
        return why_whole(item.options)


class Splitting(Closing):
    """See Engine. What cannot or need not be split is done in one piece.

    Args:
        engine: does the pieces; it is closed by whoever opened it.
        wish: which videos are split.
    """

    def __init__(self, engine: Engine, wish: Wish) -> None:
        self._engine = engine
        self._wish = wish

    def close(self) -> None:
        """Nothing is held."""

    def model(self, variant: Variant) -> ServedModel:
        """See Engine."""
        return self._engine.model(variant)

    def check(self, items: Sequence[Item]) -> None:
        """See Engine: where segments of a length are asked for, all are to be split."""
        self._engine.check(items)
        if self._wish.segment_seconds is None:
            return
        for item in items:
            reason = self._wish.why_whole(item)
            if reason is not None:
                raise UsageError(f"{item.source} cannot be split: {reason}; use --split auto")

    def outcomes(self, waiting: Backlog, watcher: Watcher) -> Generator[Outcome, None, None]:
        """See Engine."""
        batch = _Batch(self._wish, waiting, watcher)
        with closing(self._engine.outcomes(waiting, batch)) as outcomes:
            for outcome in outcomes:
                yield from batch.next(outcome)


@dataclass
class _Video:
    """One that is split."""

    item: Item
    """As it was given."""
    folder: Path
    started_s: float
    chain: Chain
    frames_done: dict[int, int] = field(default_factory=dict)
    """By the numbers of its segments."""


class _Batch:
    """What is known of the items of one run; the watcher of their pieces."""

    def __init__(self, wish: Wish, waiting: Backlog, watcher: Watcher) -> None:
        self._wish = wish
        self._waiting = waiting
        self._watcher = watcher
        self._lock = threading.Lock()
        self._items = {item.key: item for item in waiting}
        self._videos: dict[str, _Video] = {}
        planned = [self._with_planning(item) for item in waiting]
        waiting.clear()
        waiting.extend(planned)

    def next(self, outcome: Outcome) -> Iterator[Outcome]:
        """Take the outcome of a piece; gives that of its item, if it is the last."""
        key, piece = outcome.item.key, outcome.item.piece
        whole = self._items[key]
        if outcome.plan is not None:
            self._split(whole, outcome.plan)
        elif isinstance(piece, Making):
            yield from self._made(whole, piece, outcome)
        elif isinstance(piece, Joining):
            yield from self._joined(whole, outcome)
        else:
            yield replace(outcome, item=whole)

    def started(self, item: Item) -> None:
        """See Watcher."""
        self._watcher.started(self._items[item.key])

    def moved(self, item: Item, done: int, expected: int | None, unit: str = "frames") -> None:
        """See Watcher: the frames of all segments."""
        with self._lock:
            video = self._videos.get(item.key)
            if video is not None and isinstance(item.piece, Making):
                video.frames_done[item.piece.number] = done
                done = sum(video.frames_done.values())
                expected = video.chain.plan.frames_expected
        self._watcher.moved(self._items[item.key], done, expected, unit)

    def note(self, sentence: str) -> None:
        """See Watcher."""
        self._watcher.note(sentence)

    def _with_planning(self, item: Item) -> Item:
        if self._wish.why_whole(item) is not None:
            return item
        return replace(item, piece=self._wish.planning())

    def _split(self, whole: Item, plan: SplitPlan) -> None:
        assert self._wish.folder is not None
        name = f".{whole.name}.{whole.key[:_KEY_CHARACTERS]}.{plan.segments}.parts"
        folder = (self._wish.folder / name).resolve()
        self._remove_others(whole, folder)
        chain = Chain(plan, folder)
        video = _Video(whole, folder, time.monotonic(), chain)
        with self._lock:
            self._videos[whole.key] = video
        try:
            self._add(video, chain.begin())
        except JoinError:
            self._do_whole(video)

    def _remove_others(self, whole: Item, folder: Path) -> None:
        """What an earlier run made of it in another way."""
        assert self._wish.folder is not None
        key = f"[0-9a-f]{{{_KEY_CHARACTERS}}}"
        pattern = re.compile(rf"\.{re.escape(whole.name)}\.{key}\.\d+\.parts")
        for path in self._wish.folder.iterdir():
            if pattern.fullmatch(path.name) and path.name != folder.name:
                shutil.rmtree(path, ignore_errors=True)

    def _made(self, whole: Item, piece: Making, outcome: Outcome) -> Iterator[Outcome]:
        video = self._videos.get(whole.key)
        if video is None:
            # It has failed, or is done in one piece, since this segment was begun.
            return
        if outcome.status is Status.FAILED:
            self._forget(video)
            yield replace(outcome, item=whole)
            return
        try:
            self._add(video, video.chain.made(piece.number))
        except JoinError:
            self._do_whole(video)

    def _joined(self, whole: Item, outcome: Outcome) -> Iterator[Outcome]:
        video = self._videos[whole.key]
        if outcome.error_class == JoinError.__name__:
            self._do_whole(video)
            return
        self._forget(video)
        yield replace(
            outcome,
            item=whole,
            seconds=time.monotonic() - video.started_s,
            segments=video.chain.plan.segments,
            segments_made_again=video.chain.made_again,
        )

    def _add(self, video: _Video, tasks: Sequence[Task]) -> None:
        """Let the tasks be done; others of the video wait for those that begin from a state."""
        for task in tasks:
            item = replace(video.item, piece=_making(video, task))
            if task.continues is None:
                self._waiting.append(item)
            else:
                self._waiting.appendleft(item)
        if video.chain.is_complete:
            segments = tuple(map(str, video.chain.paths))
            self._waiting.appendleft(replace(video.item, piece=Joining(segments)))

    def _do_whole(self, video: _Video) -> None:
        """Its segments do not fit together."""
        self._forget(video)
        self._waiting.append(video.item)

    def _forget(self, video: _Video) -> None:
        with self._lock:
            del self._videos[video.item.key]
        left = [item for item in self._waiting if item.key != video.item.key]
        self._waiting.clear()
        self._waiting.extend(left)
        shutil.rmtree(video.folder, ignore_errors=True)


def _making(video: _Video, task: Task) -> Making:
    segment = video.chain.plan.segment(task.number, is_continued=task.continues is not None)
    return Making(
        str(video.folder),
        task.number,
        segment,
        str(video.chain.path(task.number)),
        None if task.continues is None else str(task.continues),
    )
