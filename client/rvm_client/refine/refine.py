"""The refinements in a row: each takes the mattes of the one before."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from rvm_client.alpha_edges import Edges
from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.refine.findings import Findings
from rvm_client.refinements import Refinements, SourceType
from rvm_client.subject import Subject

Step: TypeAlias = Callable[[Iterator[MatteChunk]], Iterator[MatteChunk]]
"""Mattes of a video in order to the same frames, refined; chunks may be cut in other places.

What it keeps of a chunk while it asks for the next, it copies: see MatteChunk.
"""


def refined(
    mattes: Iterator[MatteChunk],
    refinements: Refinements,
    info: VideoInfo,
    findings: Findings | None = None,
    *,
    start_seconds: float = 0.0,
    shows_dropped: bool = False,
) -> Iterator[MatteChunk]:
    """The same frames as they are wished for; where nothing is wished for, `mattes` itself.

    Args:
        mattes: those of a video.
        refinements: what is wished for.
        info: of the video.
        findings: gets what is found on the way.
        start_seconds: the time in the source of the video's first frame.
        shows_dropped: what is dropped is to come along: see MatteChunk.
    """
    if refinements.source_type != "person":
        # First: it looks for what the model left out, and that is the screen.
        mattes = _keyed(mattes, refinements.source_type, findings or Findings())
    for step in _steps(refinements, info, start_seconds, shows_dropped):
        mattes = step(mattes)
    return mattes


def _steps(
    refinements: Refinements, info: VideoInfo, start_seconds: float, shows_dropped: bool
) -> Sequence[Step]:
    """Those that are asked for, in the order in which they are done."""
    steps: list[Step] = []
    if refinements.subject != Subject():
        steps.append(_subject(refinements.subject, info, start_seconds, shows_dropped))
    if refinements.edges != Edges():
        steps.append(_edges(refinements.edges, info))
    return steps


# What is not asked for is not imported either.


def _keyed(
    mattes: Iterator[MatteChunk], source_type: SourceType, findings: Findings
) -> Iterator[MatteChunk]:
    from rvm_client.refine.green_screen import green_screen

    return green_screen(mattes, source_type, findings)


def _subject(subject: Subject, info: VideoInfo, start_seconds: float, shows_dropped: bool) -> Step:
    from rvm_client.refine.subject import in_place, largest

    def step(mattes: Iterator[MatteChunk]) -> Iterator[MatteChunk]:
        if subject.region is not None or subject.exclude:
            mattes = in_place(mattes, subject, info, start_seconds)
        return largest(mattes, info) if subject.largest else mattes

    def with_dropped(mattes: Iterator[MatteChunk]) -> Iterator[MatteChunk]:
        seen: list[MatteChunk] = []

        def noted() -> Iterator[MatteChunk]:
            for chunk in mattes:
                seen.append(chunk)
                yield chunk

        for chunk in step(noted()):
            yield replace(chunk, dropped=seen.pop().pha - chunk.pha)

    return with_dropped if shows_dropped else step


def _edges(edges: Edges, info: VideoInfo) -> Step:
    from rvm_client.refine.edge_step import edged

    return lambda mattes: edged(mattes, edges, info.layout)
