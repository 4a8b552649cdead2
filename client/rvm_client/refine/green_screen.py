"""Mattes of a person before a screen, keyed: where there is one, and where the caller says so."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from rvm_client.frames import MatteChunk
from rvm_client.pixels import UInt8Array
from rvm_client.refine.findings import Findings
from rvm_client.refine.key import keyed
from rvm_client.refine.screen import find_screen
from rvm_client.refinements import SourceType

# The first frames of a scene, by which it is decided whether there is a screen.
DECIDING_FRAMES = 5
# Where the caller says that there is a screen, this much of what is behind the person has to be it.
_LEAST_SHARE = 0.4


def green_screen(
    mattes: Iterator[MatteChunk], source_type: SourceType, findings: Findings
) -> Iterator[MatteChunk]:
    """The mattes, keyed in each frame that has a screen.

    With `auto` a scene is keyed where most of its first frames are before a plain screen; those are
    held until it is known. With `green_screen` each frame counts for itself.
    """
    if source_type == "green_screen":
        yield from (_keyed(chunk, findings) for chunk in mattes)
        return
    held: list[MatteChunk] = []
    is_screen: bool | None = None
    for chunk in mattes:
        if chunk.starts_scene:
            yield from _decided(held, findings)
            held, is_screen = [], None
        if is_screen is not None:
            yield _keyed(chunk, findings) if is_screen else chunk
            continue
        held.append(replace(chunk, fgr=chunk.fgr.copy(), pha=chunk.pha.copy()))
        if sum(len(each.pts) for each in held) >= DECIDING_FRAMES:
            is_screen = _has_screen(held)
            yield from (_keyed(each, findings) if is_screen else each for each in held)
            held = []
    yield from _decided(held, findings)


def _decided(held: list[MatteChunk], findings: Findings) -> Iterator[MatteChunk]:
    """The chunks of a scene that is over."""
    if held and _has_screen(held):
        yield from (_keyed(chunk, findings) for chunk in held)
    else:
        yield from held


def _has_screen(chunks: Iterable[MatteChunk]) -> bool:
    frames = [frame for chunk in chunks for frame in zip(_src(chunk), chunk.pha, strict=True)]
    screens = [find_screen(src, pha) for src, pha in frames[:DECIDING_FRAMES]]
    return 2 * sum(screen is not None and screen.is_plain for screen in screens) > len(screens)


def _keyed(chunk: MatteChunk, findings: Findings) -> MatteChunk:
    fgr, pha = np.empty_like(chunk.fgr), np.empty_like(chunk.pha)
    for index, src in enumerate(_src(chunk)):
        fgr[index], pha[index] = chunk.fgr[index], chunk.pha[index]
        screen = find_screen(src, chunk.pha[index])
        if screen is not None and screen.share >= _LEAST_SHARE:
            fgr[index], pha[index] = keyed(src, fgr[index], pha[index], screen)
            findings.keyed_frames += 1
    return replace(chunk, fgr=fgr, pha=pha)


def _src(chunk: MatteChunk) -> UInt8Array:
    if chunk.src is None:
        raise ValueError("the mattes came without the source's frames")
    return chunk.src
