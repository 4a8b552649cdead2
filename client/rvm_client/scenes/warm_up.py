"""Warm starts: lets the model see the first frames of each scene before they count.

The model needs about half a second to settle, and after a cut it drags the old scene along.
So the first frames of each scene go through it backwards, ahead of the scene, and only the
state is kept. `docs/lab/quality.md` has figures.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from rvm_client.frames import Role, SourceChunk
from rvm_client.pixels import RGB, PixelLayout
from rvm_client.scenes.cuts import CutDetector

WARM_UP_FRAMES = 12


def with_warm_up(
    chunks: Iterable[SourceChunk],
    *,
    frames_per_chunk: int,
    layout: PixelLayout = RGB,
    on_cut: Callable[[int], None] | None = None,
    is_warm: bool = False,
) -> Iterator[SourceChunk]:
    """Find the cuts, and put warm-up chunks before the start and after each cut.

    The frames, their order and their times stay as they are. No chunk spans a cut. The first
    chunk of each scene resets the state. The warm-up is the first 12 frames of the scene
    backwards, or the whole scene where it is shorter: so this at most doubles the frames that
    the model sees, however often the video cuts. A scene that starts with 12 or more warm-up
    frames of the source (those before the start of a trimmed video) needs no others.

    Fewer than 12 frames and two chunks are held at a time.

    Args:
        chunks: a video in order of presentation.
        frames_per_chunk: the most frames of a warm-up chunk.
        layout: of the frames.
        on_cut: called with the timestamp of each frame that starts a scene after a cut.
        is_warm: the model's state is that of the frame before the first that belongs to the
            output. Warm-up frames of the source then only show whether there is a cut.
    """
    opening: list[SourceChunk] = []
    gathering = not is_warm
    for chunk, after_cut in _split_at_cuts(chunks, layout):
        if is_warm and chunk.role is Role.WARM_UP:
            continue
        if after_cut:
            yield from _opened(opening, frames_per_chunk)
            opening, gathering = [], True
            if on_cut is not None:
                on_cut(chunk.pts[0])
        if not gathering:
            yield chunk
            continue
        opening.append(chunk)
        if sum(len(part.pts) for part in opening) >= WARM_UP_FRAMES:
            yield from _opened(opening, frames_per_chunk)
            opening, gathering = [], False
    yield from _opened(opening, frames_per_chunk)


def _split_at_cuts(
    chunks: Iterable[SourceChunk], layout: PixelLayout
) -> Iterator[tuple[SourceChunk, bool]]:
    """The same chunks, split at cuts; with each, whether it comes after a cut."""
    detector = CutDetector(layout)
    held: deque[SourceChunk] = deque()
    cuts: deque[bool] = deque()
    for chunk in chunks:
        held.append(chunk)
        for picture in chunk.src:
            cuts.extend(detector.push(picture))
        while held and len(cuts) >= len(held[0].pts):
            yield from _split(held.popleft(), cuts)
    cuts.extend(detector.finish())
    while held:
        yield from _split(held.popleft(), cuts)


def _split(chunk: SourceChunk, cuts: deque[bool]) -> Iterator[tuple[SourceChunk, bool]]:
    """Split a chunk by the first of `cuts`, and take these from there."""
    frames = len(chunk.pts)
    starts_scene = [cuts.popleft() for _ in range(frames)]
    borders = sorted({0, frames, *np.flatnonzero(starts_scene).tolist()})
    for start, end in pairwise(borders):
        part = replace(chunk, src=chunk.src[start:end], pts=chunk.pts[start:end])
        yield part, starts_scene[start]


def _opened(opening: list[SourceChunk], frames_per_chunk: int) -> Iterator[SourceChunk]:
    """The first chunks of a scene with what warms the state up for them.

    All are warm-up chunks where enough frames lead to a trimmed start, or where a cut before
    that start ended their scene.
    """
    if all(chunk.role is Role.WARM_UP for chunk in opening):
        for index, chunk in enumerate(opening):
            yield replace(chunk, resets_state=index == 0)
        return
    yield from _backwards(opening, frames_per_chunk)
    yield from opening


def _backwards(opening: list[SourceChunk], frames_per_chunk: int) -> Iterator[SourceChunk]:
    frames = [frame for chunk in opening for frame in zip(chunk.src, chunk.pts, strict=True)]
    frames = frames[:WARM_UP_FRAMES][::-1]
    for start in range(0, len(frames), frames_per_chunk):
        pictures, pts = zip(*frames[start : start + frames_per_chunk], strict=True)
        yield SourceChunk(np.stack(pictures), pts, Role.WARM_UP, resets_state=start == 0)
