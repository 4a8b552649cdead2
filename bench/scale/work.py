"""Videos as what machines are given: whole, or in segments that are joined again."""

import bisect
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.scale.costs import Costs, Plan, Splitting
from bench.scale.videos import Video


@dataclass(eq=False)
class Task:
    """What one machine does at a time."""

    work: "Work"
    frames: int
    """Matted, with those whose mattes are thrown away."""
    reads: float
    """Bytes from the store."""
    writes: float
    seconds: float = 0.0
    """At work."""
    index: int = 0
    """Of the segment."""
    is_join: bool = False
    again: bool = False
    """From the true state, as the joint before it did not hold."""


@dataclass(eq=False)
class Work:
    """A video on its way."""

    video: Video
    segments: list[Task] = field(default_factory=list)
    fails: list[bool] = field(default_factory=list)
    """Whether the joint before each segment does not hold."""
    settled: set[int] = field(default_factory=set)
    """Segments that are as they would be in a video that was not split, as far as is known."""
    first_done: set[int] = field(default_factory=set)
    in_order: bool = True
    redone: int = 0

    @property
    def is_split(self) -> bool:
        """Whether there is something to join."""
        return len(self.segments) > 1

    def after(self, task: Task, costs: Costs) -> list[Task]:
        """What can be begun now that a task is done."""
        if task.is_join:
            return []
        (self.settled if task.again else self.first_done).add(task.index)
        found = []
        looked_at = [task.index, task.index + 1]
        while looked_at:
            index = looked_at.pop()
            if index not in self.first_done or index in self.settled or not self._is_known(index):
                continue
            if self.fails[index]:
                found.append(self._again(self.segments[index]))
            else:
                self.settled.add(index)
                looked_at.append(index + 1)
        if self.is_split and len(self.settled) == len(self.segments):
            found.append(self._join(costs))
        return found

    def _is_known(self, index: int) -> bool:
        """Whether what is before a joint is what it will stay."""
        if index == 0 or index - 1 in self.settled:
            return True
        ahead = not self.in_order and not self.fails[index - 1]
        return ahead and index - 1 in self.first_done

    def is_done_with(self, task: Task) -> bool:
        """Whether nothing is left of the video."""
        return task.is_join or not self.is_split

    def _again(self, task: Task) -> Task:
        self.first_done.discard(task.index)
        self.redone += 1
        return Task(
            self, task.frames, task.reads, task.writes, task.seconds, task.index, again=True
        )

    def _join(self, costs: Costs) -> Task:
        size = sum(task.writes for task in self.segments)
        return Task(self, 0, size, size, self.video.frames * costs.join_ms / 1000, is_join=True)


def works(videos: Sequence[Video], plan: Plan) -> list[Work]:
    """All videos, in the order in which they are begun."""
    chance = random.Random(plan.seed)
    found = [_work(video, plan, chance) for video in videos]
    if plan.longest_first:
        found.sort(key=lambda work: max(task.seconds for task in work.segments), reverse=True)
    return found


def _work(video: Video, plan: Plan, chance: random.Random) -> Work:
    work, costs, splitting = Work(video), plan.costs, plan.splitting
    work.in_order = splitting is None or splitting.in_order
    starts_s = [0.0] if splitting is None else _starts_s(video, splitting)
    cuts = set(video.cuts_s)
    for index, start_s in enumerate(starts_s):
        end_s = starts_s[index + 1] if index + 1 < len(starts_s) else video.seconds
        extra, failing = costs.redundant_frames, 0.0
        if splitting is not None and index > 0 and start_s not in cuts:
            extra, failing = splitting.warm_up_frames, splitting.failing
        work.fails.append(chance.random() < failing)
        work.segments.append(_segment(work, index, end_s - start_s, extra, costs, len(starts_s)))
    return work


def _segment(work: Work, index: int, seconds: float, extra: int, costs: Costs, count: int) -> Task:
    video = work.video
    frames = round(seconds * video.frames_per_second)
    share = seconds / video.seconds
    whole = count == 1 or costs.sources_are_read_whole
    return Task(
        work,
        frames + extra,
        video.bytes if whole else video.bytes * share,
        video.output_bytes(costs.output_bytes) * share,
        costs.item_s + (frames + extra) * costs.matte_ms[video.height_pixels] / 1000,
        index,
    )


def _starts_s(video: Video, splitting: Splitting) -> list[float]:
    """Where segments begin: equally long, but at the nearest cut where one is near."""
    count = min(int(video.seconds / splitting.segment_s), splitting.most)
    if video.seconds <= splitting.longer_than_s or count < 2:
        return [0.0]
    length_s = video.seconds / count
    starts = [0.0]
    for index in range(1, count):
        wanted_s = index * length_s
        nearest_s = _nearest(video.cuts_s, wanted_s)
        near = abs(nearest_s - wanted_s) <= length_s / 4
        starts.append(nearest_s if near else wanted_s)
    return starts


def _nearest(sorted_s: Sequence[float], wanted_s: float) -> float:
    at = bisect.bisect(sorted_s, wanted_s)
    candidates = sorted_s[max(at - 1, 0) : at + 1]
    return min(candidates, key=lambda s: abs(s - wanted_s), default=math.inf)
