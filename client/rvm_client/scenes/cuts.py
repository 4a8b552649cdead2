"""Where a video cuts from one scene to the next, found two frames late.

A frame starts a new scene when the picture changes there, for good, by more than things move
just before and after it, and when what is in the picture changes, not only its light.
`docs/lab/quality.md` says how this compares with the detectors of FFmpeg and PySceneDetect.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, product
from statistics import median

import numpy as np
import numpy.typing as npt

from rvm_client.frames import SourceChunk
from rvm_client.pixels import PixelLayout, UInt8Array

Thumbnail = npt.NDArray[np.float32]
"""Mean colours of a grid over the picture, [18,32,3], 0 to 255."""

_GRID_ROWS, _GRID_COLUMNS = 18, 32
# Pixels that are read of each cell of the grid, in each direction.
_SAMPLES = 4

# Every one of the last frames must differ from every one of the next ones, so a flash that is
# over after two frames is no cut: the picture after it is the one before it.
_SIDE_FRAMES = 3
_LOOKAHEAD_FRAMES = _SIDE_FRAMES - 1
# Frames over which motion is measured before the cut; after it, what is known.
_MOTION_FRAMES = 5

# The limits lie between what was measured at cuts and at everything else.
_MIN_CHANGE = 10.0
_MIN_CHANGE_TO_MOTION = 2.25
_MIN_STRUCTURE_CHANGE = 0.2
# Below this two frames are the same picture again, as in clips of a low rate made into 30 fps.
_SAME_PICTURE = 0.3


class CutDetector:
    """Says of every frame whether a new scene starts with it.

    The answer to a frame comes with the second frame after it, or at the end.

    Args:
        layout: of the frames. Whatever it is, colours are compared as RGB.
    """

    def __init__(self, layout: PixelLayout) -> None:
        self._layout = layout
        self._before: deque[Thumbnail] = deque(maxlen=_MOTION_FRAMES)
        self._ahead: deque[Thumbnail] = deque()

    def push(self, picture: UInt8Array) -> list[bool]:
        """Take the next frame; returns the answers that are now known, in order."""
        self._ahead.append(_thumbnail(picture, self._layout))
        return [self._decide()] if len(self._ahead) > _LOOKAHEAD_FRAMES else []

    def finish(self) -> list[bool]:
        """The answers to the last frames."""
        return [self._decide() for _ in range(len(self._ahead))]

    def _decide(self) -> bool:
        cut = bool(self._before) and _is_cut(list(self._before), list(self._ahead))
        self._before.append(self._ahead.popleft())
        return cut


def cut_times(chunks: Iterable[SourceChunk], layout: PixelLayout) -> Iterator[int]:
    """The timestamps of the frames that start a scene after a cut.

    Args:
        chunks: frames in order of presentation.
        layout: of the frames.
    """
    detector = CutDetector(layout)
    waiting = deque[int]()

    def decided(answers: Sequence[bool]) -> Iterator[int]:
        for is_cut in answers:
            pts = waiting.popleft()
            if is_cut:
                yield pts

    for chunk in chunks:
        for picture, pts in zip(chunk.src, chunk.pts, strict=True):
            waiting.append(pts)
            yield from decided(detector.push(picture))
    yield from decided(detector.finish())


def _is_cut(before: Sequence[Thumbnail], after: Sequence[Thumbnail]) -> bool:
    if _change(before[-1], after[0]) < _MIN_CHANGE:
        return False
    pairs = list(product(before[-_SIDE_FRAMES:], after))
    change = min(_change(a, b) for a, b in pairs)
    motion = max(_motion(before), _motion(after))
    return (
        change >= _MIN_CHANGE
        and change >= _MIN_CHANGE_TO_MOTION * (motion + 1)
        and min(_structure_change(a, b) for a, b in pairs) >= _MIN_STRUCTURE_CHANGE
    )


def _thumbnail(picture: UInt8Array, layout: PixelLayout) -> Thumbnail:
    height, width = layout.size_pixels(picture)
    rows = np.arange(_GRID_ROWS * _SAMPLES) * height // (_GRID_ROWS * _SAMPLES)
    columns = np.arange(_GRID_COLUMNS * _SAMPLES) * width // (_GRID_COLUMNS * _SAMPLES)
    samples = layout.rgb_at(picture, rows, columns)
    cells = samples.reshape(_GRID_ROWS, _SAMPLES, _GRID_COLUMNS, _SAMPLES, 3)
    return np.asarray(cells.mean(axis=(1, 3)), np.float32)


def _change(a: Thumbnail, b: Thumbnail) -> float:
    """Mean absolute difference, in levels."""
    return float(np.abs(a - b).mean())


def _motion(thumbnails: Sequence[Thumbnail]) -> float:
    """Median change from frame to frame, repeated pictures left out."""
    changes = [_change(a, b) for a, b in pairwise(thumbnails)]
    moved = [change for change in changes if change > _SAME_PICTURE]
    return median(moved) if moved else 0.0


def _structure_change(a: Thumbnail, b: Thumbnail) -> float:
    """1 - Pearson's correlation of the brightness: 0 where only gain and offset differ."""
    a, b = (t.mean(axis=-1) - t.mean() for t in (a, b))
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    # A picture of one brightness shares its structure with no other.
    if spread < 1e-3 * a.size:
        return 1.0
    return 1.0 - float((a * b).sum()) / spread
