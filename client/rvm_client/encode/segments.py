"""One video by several encoders side by side, for codecs that cannot use all cores.

Each encoder takes a run of frames, a segment, that begins with a keyframe and so needs nothing
of what came before it; then it takes the next run that no other one has. Which one takes which
follows from the number of the frame alone: the same frames always give the same packets.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

Packets = list["av.Packet[av.VideoStream]"]

# Each takes some 250 MB at 1080p, with alpha; four encode faster than frames are matted.
_MAX_ENCODERS = 4
# libvpx makes a keyframe after so many frames by itself, so such a segment adds none.
_LONGEST_SEGMENT_FRAMES = 128
# A keyframe every second or so; more of them make a file noticeably larger.
_SHORTEST_SEGMENT_FRAMES = 32
# The encoders are all at work only while frames of later segments wait in memory. This holds
# segments of 128 frames of 1080p with two encoders and of 66 with four. Less memory means shorter
# segments, so more keyframes: every 64 frames they add 6 to 8 % to a file, every 32 frames 19 %.
_MAX_WAITING_BYTES = 512 * 2**20


@dataclass(frozen=True)
class SegmentPlan:
    """Who encodes what."""

    encoders: int
    threads_per_encoder: int
    frames_per_segment: int
    max_waiting_frames: int
    """In memory at a time, those that are being encoded too."""


def plan_segments(
    cores: int, cores_per_encoder: int, waiting_bytes: int, jobs_at_once: int = 1
) -> SegmentPlan:
    """As many encoders as there are cores for, each with segments as long as memory allows.

    Args:
        cores: that there are.
        cores_per_encoder: what one encoder can keep busy.
        waiting_bytes: of one frame that waits for its encoder.
        jobs_at_once: videos that share cores, memory and encoders.
    """
    most = min(cores // cores_per_encoder, _MAX_ENCODERS) // jobs_at_once
    memory_bytes = _MAX_WAITING_BYTES // jobs_at_once
    for encoders in range(most, 1, -1):
        longest = _longest_segment(encoders, waiting_bytes, memory_bytes)
        frames = min(longest, _LONGEST_SEGMENT_FRAMES)
        if frames >= _SHORTEST_SEGMENT_FRAMES:
            return SegmentPlan(
                encoders, cores_per_encoder, frames, _waiting_frames(encoders, frames)
            )
    return SegmentPlan(1, cores_per_encoder, _LONGEST_SEGMENT_FRAMES, 1)


def frame_bytes(pix_fmt: str, width: int, height: int) -> int:
    """Memory that a frame takes, without padding."""
    planes = av.VideoFormat(pix_fmt, width, height).components
    return sum(plane.width * plane.height * math.ceil(plane.bits / 8) for plane in planes)


def _waiting_frames(encoders: int, frames_per_segment: int) -> int:
    """What has to wait for all encoders to be at work, each at another part of its segment."""
    # The newest segment has (n - 1) / n of its frames waiting, the one before it (n - 2) / n, ...
    return frames_per_segment * (encoders - 1) // 2 + encoders


def _longest_segment(encoders: int, waiting_bytes: int, memory_bytes: int) -> int:
    """`_waiting_frames` turned round, for as many as the memory may hold."""
    return 2 * (memory_bytes // waiting_bytes - encoders) // (encoders - 1)


class SegmentEncoder:
    """Makes and encodes frames in threads; packets come out in the order of the frames.

    Args:
        contexts: encoders with the same settings, not open yet, one for each of the plan. They
            give the packet of a frame at once, without B-frames and lookahead, and make a
            keyframe of a picture of type I.
        plan: see SegmentPlan.
    """

    def __init__(self, contexts: Sequence[VideoCodecContext], plan: SegmentPlan) -> None:
        self._contexts = contexts
        self._plan = plan
        self._room = threading.Semaphore(plan.max_waiting_frames)
        self._makers = ThreadPoolExecutor(plan.encoders, "make-frame")
        # A queue of its own for each encoder, which is used by one thread only.
        self._lanes = [ThreadPoolExecutor(1, f"encode-{i}") for i in range(plan.encoders)]
        self._making: deque[Future[av.VideoFrame]] = deque()
        self._encoding: deque[Future[Packets]] = deque()
        self._count = 0

    def encode(self, make_frame: Callable[[], av.VideoFrame]) -> Packets:
        """Take the next frame, as soon as there is room, and give what is ready.

        `make_frame` runs in another thread; what it or an encoder raises is raised here or in
        `finish`, where the packet of its frame would have come out.
        """
        # What frames are made of is larger than they are: it does not wait.
        while len(self._making) > self._plan.encoders:
            self._making.popleft().result()
        self._room.acquire()
        frame = self._makers.submit(make_frame)
        self._making.append(frame)
        segment, index = divmod(self._count, self._plan.frames_per_segment)
        lane = segment % self._plan.encoders
        self._encoding.append(self._lanes[lane].submit(self._encode, lane, frame, index == 0))
        self._count += 1
        return self._take_ready()

    def finish(self) -> Iterator["av.Packet[av.VideoStream]"]:
        """The packets that are left; the threads end after them."""
        while self._encoding:
            yield from self._encoding.popleft().result()
        for context in self._contexts:
            if context.is_open:
                yield from context.encode(None)
        self.close()

    def close(self) -> None:
        """Drop what waits and end the threads, as soon as they are through with their frames."""
        for pool in (self._makers, *self._lanes):
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in (self._makers, *self._lanes):
            pool.shutdown()
        self._making.clear()
        self._encoding.clear()

    def _encode(self, lane: int, made: "Future[av.VideoFrame]", is_first: bool) -> Packets:
        try:
            frame = made.result()
            if is_first:
                frame.pict_type = PictureType.I
            return self._contexts[lane].encode(frame)
        finally:
            self._room.release()

    def _take_ready(self) -> Packets:
        packets: Packets = []
        while self._encoding and self._encoding[0].done():
            packets += self._encoding.popleft().result()
        return packets
