"""The refinements in a row: each takes the mattes of the one before."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.refinements import Refinements

Step: TypeAlias = Callable[[Iterator[MatteChunk]], Iterator[MatteChunk]]
"""Mattes of a video in order to the same frames, refined; chunks may be cut in other places.

What it keeps of a chunk while it asks for the next, it copies: see MatteChunk.
"""


def refined(
    mattes: Iterator[MatteChunk], refinements: Refinements, info: VideoInfo
) -> Iterator[MatteChunk]:
    """The same frames as they are wished for; where nothing is wished for, `mattes` itself."""
    for step in _steps(refinements, info):
        mattes = step(mattes)
    return mattes


def _steps(refinements: Refinements, info: VideoInfo) -> Sequence[Step]:  # noqa: ARG001
    """Those that are asked for, in the order in which they are done."""
    return []
