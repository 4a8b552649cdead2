"""One segment of a video, made on its own, and what shows whether it fits its neighbours."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rvm_client.backdrop import open_backdrop
from rvm_client.encode import Writer, open_part_writer
from rvm_client.frames import MatteChunk, Role, SourceChunk, VideoInfo
from rvm_client.isolated import Opener, OpensHere
from rvm_client.matte import ChunkSession, MattingModel
from rvm_client.options import Limits, MatteOptions
from rvm_client.owned import part_file
from rvm_client.pipeline.matte import matted, with_served_model
from rvm_client.pipeline.results import MatteProgress, MatteResult
from rvm_client.pipeline.run import Run
from rvm_client.pixels import GREEN, UInt8Array
from rvm_client.scenes import with_warm_up

# Alphas that are kept on either side of a joint, to be compared.
COMPARED_FRAMES = 9
# Before a joint within a scene: what the model has to see until its state is about right.
# docs/lab/quality.md has figures.
SPECULATION_FRAMES = 96
# Where the state is given, what the detector of cuts looks back at.
_CUT_CONTEXT_FRAMES = 8
_STATE_NAMES = ("r1", "r2", "r3", "r4")

State = npt.NDArray[Any]


@dataclass(frozen=True)
class Alphas:
    """Alphas of successive frames."""

    pts: tuple[int, ...]
    pha: UInt8Array
    """[N,H,W]; N may be less than there are times: beyond a cut they show nothing."""


@dataclass(frozen=True)
class SegmentMade:
    """A segment that was made, as its file of edges tells."""

    head: Alphas
    """Of its first frames."""
    after: Alphas
    """Of those behind it, from the state at its end."""
    states: tuple[State, ...]
    """r1..r4 after its last frame."""
    starts_at_cut: bool
    frames: int
    facts: dict[str, Any]
    """What its MatteResult says of how it was made."""


def matte_segment(
    source: Path,
    target: Path,
    model: MattingModel,
    options: MatteOptions,
    limits: Limits,
    *,
    states: Sequence[State] | None = None,
    opener: Opener | None = None,
    on_progress: Callable[[MatteProgress], None] | None = None,
    cancelled: threading.Event | None = None,
    request_id: str = "",
) -> None:
    """Make `options.segment` of a result: parts at `target`, and then `edges_path(target)`.

    Args:
        states: r1..r4 of the frame before it; None: they are made from the frames before it.
        source, target, model, options, limits, opener: as in `matte_video`.
        on_progress, cancelled, request_id: likewise.

    Raises:
        RvmError: as `matte_video`.
    """
    options, notes = with_served_model(options, model)
    run = _SegmentRun(
        source,
        target,
        model,
        options,
        limits,
        opener or OpensHere(),
        on_progress,
        None,
        cancelled,
        request_id,
        notes,
        states=None if states is None else tuple(states),
    )
    matted(run)


def edges_path(target: Path) -> Path:
    """The file that is there once a segment is."""
    return target.with_suffix(".edges.npz")


def lead_frames(*, warm_start: bool, is_continued: bool) -> int:
    """How many frames a segment needs to see before its own."""
    if not is_continued:
        return SPECULATION_FRAMES
    return _CUT_CONTEXT_FRAMES if warm_start else 0


def load_segment(target: Path) -> SegmentMade:
    """What is known of a segment that was made.

    Raises:
        OSError: it was not.
    """
    with np.load(edges_path(target)) as arrays:
        facts = json.loads(str(arrays["facts"]))
        return SegmentMade(
            head=Alphas(tuple(facts["head_pts"]), arrays["head"]),
            after=Alphas(tuple(facts["after_pts"]), arrays["after"]),
            states=tuple(arrays[name] for name in _STATE_NAMES),
            starts_at_cut=facts["starts_at_cut"],
            frames=facts["result"]["frames"],
            facts=facts["result"],
        )


@dataclass
class _Edges:
    """What is noted on the way. `head` by one thread, the others by the one that mattes."""

    head_pts: list[int] = field(default_factory=list)
    head: list[UInt8Array] = field(default_factory=list)
    after_pts: list[int] = field(default_factory=list)
    after: list[UInt8Array] = field(default_factory=list)
    states: Sequence[State] = ()


@dataclass(frozen=True)
class _SegmentRun(Run):
    """See Run."""

    states: tuple[State, ...] | None = None
    edges: _Edges = field(default_factory=_Edges, init=False)

    def matte(self) -> MatteResult:
        result = super().matte()
        self._save(result)
        return result

    def _writer(self, stack: ExitStack, info: VideoInfo) -> Writer:
        background = self.options.background or GREEN
        backdrop = stack.enter_context(open_backdrop(background, info, self.limits, self.opener))
        return open_part_writer(
            self.target,
            self.options,
            info,
            hardware=self.limits.hardware,
            backdrop=backdrop,
            jobs_at_once=self.limits.jobs_at_once,
        )

    def _warmed_up(
        self, chunks: Iterator[SourceChunk], frames_per_chunk: int, info: VideoInfo
    ) -> Iterator[SourceChunk]:
        warmed = with_warm_up(
            chunks,
            frames_per_chunk=frames_per_chunk,
            layout=info.layout,
            on_cut=self.cuts.append,
            is_warm=self.states is not None,
        )
        for chunk in warmed:
            # What would warm up for a scene of the next segment.
            is_needless = chunk.role is Role.WARM_UP and self._cut_behind() is not None
            if not is_needless:
                yield chunk

    def _matted(self, session: ChunkSession, chunks: Iterator[SourceChunk]) -> Iterator[MatteChunk]:
        if self.states is not None:
            session.start_from(self.states)
        behind: list[SourceChunk] = []

        def inside() -> Iterator[SourceChunk]:
            for chunk in chunks:
                if chunk.role is Role.AFTER:
                    behind.append(chunk)
                    return
                yield chunk

        for matte in super()._matted(session, inside()):
            self._note_head(matte)
            yield matte
        self.edges.states = session.states
        for chunk in chain(behind, chunks):
            self._note_after(chunk, session)

    def _note_head(self, matte: MatteChunk) -> None:
        count = COMPARED_FRAMES - len(self.edges.head_pts)
        self.edges.head_pts += matte.pts[:count]
        self.edges.head += list(matte.pha[:count].copy())

    def _note_after(self, chunk: SourceChunk, session: ChunkSession) -> None:
        self.edges.after_pts += chunk.pts
        cut = self._cut_behind()
        # Beyond a cut, the next segment begins anew as we would.
        if cut is None or chunk.pts[0] < cut:
            self.edges.after += list(session.matte(chunk).pha.copy())

    def _cut_behind(self) -> int | None:
        """The first cut behind the segment that is known; it is before its frames come."""
        segment = self.options.segment
        assert segment is not None
        if segment.end_pts is None:
            return None
        return min((cut for cut in self.cuts if cut >= segment.end_pts), default=None)

    def _save(self, result: MatteResult) -> None:
        segment = self.options.segment
        assert segment is not None
        facts = {
            "head_pts": self.edges.head_pts,
            "after_pts": self.edges.after_pts,
            "starts_at_cut": segment.start_pts in self.cuts,
            "result": asdict(result) | {"cuts": self._cuts_inside()},
        }
        arrays = dict(zip(_STATE_NAMES, self.edges.states, strict=True))
        shape = (0, result.height_pixels, result.width_pixels)
        arrays |= {
            name: np.stack(alphas) if alphas else np.empty(shape, np.uint8)
            for name, alphas in (("head", self.edges.head), ("after", self.edges.after))
        }
        path = edges_path(self.target)
        with part_file(path) as part:
            with part.path.open("wb") as file:
                np.savez_compressed(file, facts=np.array(json.dumps(facts, default=str)), **arrays)
            part.publish(path)

    def _cuts_inside(self) -> int:
        segment = self.options.segment
        assert segment is not None
        end_pts = segment.end_pts
        return sum(
            cut >= segment.start_pts and (end_pts is None or cut < end_pts) for cut in self.cuts
        )
