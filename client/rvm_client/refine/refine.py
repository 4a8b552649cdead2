"""The refinements in a row: each takes the mattes of the one before."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.refine.green_screen import Findings, green_screen
from rvm_client.refinements import Refinements

Step: TypeAlias = Callable[[Iterator[MatteChunk]], Iterator[MatteChunk]]
"""Mattes of a video in order to the same frames, refined; chunks may be cut in other places.

What it keeps of a chunk while it asks for the next, it copies: see MatteChunk.
"""


def refined(
    mattes: Iterator[MatteChunk],
    refinements: Refinements,
    info: VideoInfo,
    findings: Findings | None = None,
) -> Iterator[MatteChunk]:
    """The same frames as they are wished for; where nothing is wished for, `mattes` itself.

    `findings` gets what is found on the way.
    """
    for step in _steps(refinements, info, findings or Findings()):
        mattes = step(mattes)
    return mattes


def _steps(
    refinements: Refinements,
    info: VideoInfo,  # noqa: ARG001
    findings: Findings,
) -> Sequence[Step]:
    """Those that are asked for, in the order in which they are done."""
    steps: list[Step] = []
    if refinements.source_type != "person":
        # First: it looks for what the model left out, and that is the screen.
        source_type = refinements.source_type
        steps.append(partial(green_screen, source_type=source_type, findings=findings))
    return steps
