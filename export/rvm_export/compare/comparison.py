"""The differences of two models, frame by frame: nothing but figures is kept of a long video."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rvm_export.compare.clips import Clip
from rvm_export.compare.sides import Side
from rvm_export.errors import DifferenceError, UsageError, VerificationError, in_one_line
from rvm_export.verify import TOLERANCES, Matte
from rvm_export.wire import Layout

# Levels of 0..255: what rounding does; what an eye may see side by side; what it sees.
LEVELS = (1, 2, 8)

Count = Callable[[int], None]


@dataclass(frozen=True)
class FrameDifference:
    """Between two mattes of one frame. Levels of 0..255; shares of its pixels, 0..1."""

    clip: str
    frame: int
    """From 0."""
    pha_max: float
    pha_mean: float
    pha_above: tuple[float, ...]
    """The share of pixels that differ by more than each of `LEVELS`."""
    fgr_max: float
    fgr_mean: float
    fgr_above: tuple[float, ...]
    """Likewise; of the channel that differs most."""


@dataclass(frozen=True)
class Where:
    """The frame that differs most, with how much each pixel does."""

    difference: FrameDifference
    src: Tensor
    """uint8 RGB [H,W,3]."""
    pha: Tensor
    """Levels, uint8 [H,W]."""
    fgr: Tensor
    """Levels of the channel that differs most, uint8 [H,W]; of planes, of their rows [H*3/2,W]."""


@dataclass(frozen=True)
class Comparison:
    """Two models on the same frames."""

    a: str
    b: str
    frames: tuple[FrameDifference, ...]
    worst: Where
    most_alpha: float
    """The largest difference of alpha that is allowed, in levels."""

    @property
    def summary(self) -> FrameDifference:
        """The largest of the largest differences, and the mean of the means."""
        return FrameDifference(
            clip="all",
            frame=len(self.frames),
            pha_max=max(f.pha_max for f in self.frames),
            pha_mean=_mean([f.pha_mean for f in self.frames]),
            pha_above=_means([f.pha_above for f in self.frames]),
            fgr_max=max(f.fgr_max for f in self.frames),
            fgr_mean=_mean([f.fgr_mean for f in self.frames]),
            fgr_above=_means([f.fgr_above for f in self.frames]),
        )

    def check(self) -> None:
        """Raises: DifferenceError: alpha differs by more than is allowed."""
        found = self.worst.difference
        if found.pha_max > self.most_alpha:
            raise DifferenceError(
                f"{self.a} and {self.b} differ by up to {found.pha_max:g} levels of alpha (frame "
                f"{found.frame} of {found.clip}); at most {self.most_alpha:g} are allowed"
            )


def compare(
    a: Side, b: Side, clips: list[Clip], most_alpha: float | None, count: Count = lambda _: None
) -> Comparison:
    """Matte all clips with both.

    Args:
        a: the one.
        b: the other.
        clips: each starts without a state.
        most_alpha: in levels; None: what rounding to the coarser precision may do.
        count: called with the number of frames that were compared so far.

    Raises:
        UsageError: the two have different layouts.
        VerificationError: one of them does not run.
    """
    if a.subject.layout is not b.subject.layout:
        raise UsageError(
            f"{a.name} takes {_says(a)} and {b.name} {_says(b)}: they see different pixels, and "
            "cannot be compared; compare each with the reference"
        )
    frames: list[FrameDifference] = []
    worst: Where | None = None
    for clip in clips:
        for where in _differences(a, b, clip):
            frames.append(where.difference)
            worst = where if worst is None or _rank(where) > _rank(worst) else worst
            count(len(frames))
    if worst is None:
        raise UsageError(f"{clips[0].name} has no frame")
    allowed = _allowed(a, b) if most_alpha is None else most_alpha
    return Comparison(a.name, b.name, tuple(frames), worst, allowed)


def _differences(a: Side, b: Side, clip: Clip) -> Iterator[Where]:
    states: list[Sequence[Tensor]] = [(), ()]
    frame = 0
    for chunk in clip.chunks():
        one, other = (
            _matte(side, chunk, clip, state) for side, state in zip((a, b), states, strict=True)
        )
        states = [one.states, other.states]
        for t in range(chunk.size(0)):
            pha = _levels(one.pha[0, t, ..., 0], other.pha[0, t, ..., 0])
            fgr = _levels(one.fgr[0, t], other.fgr[0, t])
            yield _where(clip.name, frame, chunk[t], pha, fgr)
            frame += 1


def _matte(side: Side, chunk: Tensor, clip: Clip, states: Sequence[Tensor]) -> Matte:
    try:
        ratio, count = clip.downsample_ratio, chunk.size(0)
        return side.subject.matte(chunk[None], ratio, [count], states)
    except RuntimeError as exc:
        raise VerificationError(f"{side.name} does not run: {in_one_line(exc)}") from exc


def _levels(one: Tensor, other: Tensor) -> Tensor:
    return (one.to(torch.int16) - other.to(torch.int16)).abs().to(torch.uint8)


def _where(clip: str, frame: int, src: Tensor, pha: Tensor, fgr: Tensor) -> Where:
    most = fgr.amax(-1) if fgr.dim() == 3 else fgr
    difference = FrameDifference(
        clip,
        frame,
        float(pha.max()),
        float(pha.float().mean()),
        _above(pha),
        float(fgr.max()),
        float(fgr.float().mean()),
        _above(most),
    )
    return Where(difference, src, pha, most)


def _above(levels: Tensor) -> tuple[float, ...]:
    return tuple(float((levels > level).float().mean()) for level in LEVELS)


def _rank(where: Where) -> tuple[float, ...]:
    d = where.difference
    return d.pha_max, d.pha_mean, d.fgr_max, d.fgr_mean


def _allowed(a: Side, b: Side) -> float:
    return max(TOLERANCES[side.subject.precision].pha_max for side in (a, b))


def _says(side: Side) -> str:
    return "RGB" if side.subject.layout is Layout.RGB else "planes of YUV"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _means(rows: list[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(_mean(list(column)) for column in zip(*rows, strict=True))
