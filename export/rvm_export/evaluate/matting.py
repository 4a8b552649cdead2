"""A version's mattes of a clip, as a user of the client gets them.

Scenes, warm starts and the ratio are the client's own code; the version's TorchScript file runs
in this process, the way Triton runs it, so no server is needed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import torch

from rvm_client.frames import MatteChunk, Role, SourceChunk, VideoInfo
from rvm_client.options import MatteOptions
from rvm_client.refine import refined
from rvm_client.refinements import Refinements
from rvm_client.scenes import with_warm_up
from rvm_export import script
from rvm_export.errors import VerificationError
from rvm_export.evaluate.dataset import Clip
from rvm_export.evaluate.metrics import Frame
from rvm_export.export import check_device
from rvm_export.repository import MODEL_FILE, Manifest, Repository
from rvm_export.verify import Subject

# What comes out does not depend on it (`check_splitting`); memory does.
_FRAMES_PER_CHUNK = 4


@dataclass(frozen=True)
class ScenesAndRatio:
    """How clips are matted; the usual values are what a job and `rvm-matte` do."""

    options: MatteOptions = field(default_factory=MatteOptions)
    """The ratio, or the longest side that it follows from."""
    warm_start: bool = True
    """Let the model see the first frames of each scene before they count."""
    cuts: bool = True
    """Begin anew at each cut."""

    @property
    def refinements(self) -> Refinements:
        """What is done to the mattes."""
        return self.options.refinements


@dataclass(frozen=True)
class Version:
    """A published version, ready to run."""

    repository: Repository
    number: int
    manifest: Manifest
    subject: Subject

    @classmethod
    def load(cls, repository: Repository, number: int | None, device: str) -> "Version":
        """A version, by default the highest.

        Raises:
            UsageError: it is not there, or there is no such device.
            RepositoryError: it has no manifest.
            VerificationError: PyTorch cannot load it.
        """
        check_device(device)
        number = repository.published(number)
        folder = repository.version_folder(number)
        manifest = Manifest.read(folder)
        try:
            model = script.load(folder / MODEL_FILE, device)
        except (RuntimeError, ValueError) as exc:
            raise VerificationError(f"{folder / MODEL_FILE} cannot be loaded") from exc
        subject = Subject(model, repository.kind.layout, manifest.precision, device)
        return cls(repository, number, manifest, subject)


@dataclass
class Matted:
    """The mattes of a clip, in order, and what was found on the way."""

    frames: Iterator[Frame]
    cuts: list[int]
    """The frames that begin a scene after a cut; filled as frames are taken."""


def matte(clip: Clip, subject: Subject, how: ScenesAndRatio) -> Matted:
    """The mattes of a clip. Little of it is in memory at a time.

    Raises, as frames are taken:
        DatasetError: a frame cannot be read.
        VerificationError: the model does not run.
    """
    cuts: list[int] = []
    ratio = how.options.ratio_for(clip.width_pixels, clip.height_pixels)
    chunks = _in_scenes(_chunks(clip), how, cuts)
    mattes = _run(subject, chunks, ratio)
    info = VideoInfo(
        clip.width_pixels, clip.height_pixels, Fraction(1, 30), Fraction(30), None, None
    )
    return Matted(_frames(refined(mattes, how.refinements, info)), cuts)


def _chunks(clip: Clip) -> Iterator[SourceChunk]:
    count = len(clip.stems)
    for start in range(0, count, _FRAMES_PER_CHUNK):
        pts = tuple(range(start, min(start + _FRAMES_PER_CHUNK, count)))
        yield SourceChunk(np.stack([clip.composite(index) for index in pts]), pts)


def _in_scenes(
    chunks: Iterator[SourceChunk], how: ScenesAndRatio, cuts: list[int]
) -> Iterator[SourceChunk]:
    """As the client arranges them, without what `how` leaves out."""
    if not (how.warm_start or how.cuts):
        return chunks
    on_cut = cuts.append if how.cuts else None
    arranged = with_warm_up(chunks, frames_per_chunk=_FRAMES_PER_CHUNK, on_cut=on_cut)
    if not how.warm_start:
        return _without_warm_up(arranged)
    return arranged if how.cuts else _with_first_warm_up(arranged)


def _without_warm_up(chunks: Iterable[SourceChunk]) -> Iterator[SourceChunk]:
    """The state is emptied at each cut, and that is all."""
    resets_state = False
    for chunk in chunks:
        resets_state |= chunk.resets_state
        if chunk.role is not Role.WARM_UP:
            yield replace(chunk, resets_state=resets_state)
            resets_state = False


def _with_first_warm_up(chunks: Iterable[SourceChunk]) -> Iterator[SourceChunk]:
    """The start is warmed up, and the state is carried over each cut."""
    has_begun = False
    for chunk in chunks:
        if chunk.role is not Role.WARM_UP:
            has_begun = True
        elif has_begun:
            continue
        yield chunk


def _run(subject: Subject, chunks: Iterator[SourceChunk], ratio: float) -> Iterator[MatteChunk]:
    states: tuple[torch.Tensor, ...] = ()
    starts_scene = True
    for chunk in chunks:
        if chunk.resets_state:
            states, starts_scene = (), True
        try:
            matte = subject.matte(
                torch.from_numpy(chunk.src)[None], ratio, [len(chunk.pts)], states
            )
        except RuntimeError as exc:
            raise VerificationError(f"the model does not run: {exc}") from exc
        states = matte.states
        if chunk.role is not Role.WARM_UP:
            fgr, pha = matte.fgr[0].numpy(), matte.pha[0, ..., 0].numpy()
            yield MatteChunk(fgr, pha, chunk.pts, starts_scene, chunk.src)
            starts_scene = False


def _frames(chunks: Iterable[MatteChunk]) -> Iterator[Frame]:
    for chunk in chunks:
        for fgr, pha in zip(chunk.fgr, chunk.pha, strict=True):
            yield Frame(pha, fgr)
