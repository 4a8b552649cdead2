"""The frames that two versions are compared on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from rvm_client.decode import VideoReader
from rvm_client.errors import RvmError
from rvm_client.options import MatteOptions
from rvm_export.errors import UsageError
from rvm_export.verify import INT8_CASES, GoldenCase

_FRAMES_PER_CHUNK = 4


@dataclass(frozen=True)
class Clip:
    """A video, and how small the network sees it."""

    name: str
    downsample_ratio: float
    chunks: Callable[[], Iterator[Tensor]]
    """Opens it anew: the frames in their order, uint8 RGB [T,H,W,3]."""


def golden_clips() -> list[Clip]:
    """The frames that each version is verified with, whatever its weights are."""
    return [
        Clip(case.name, case.downsample_ratio, partial(_golden_chunks, case)) for case in INT8_CASES
    ]


def video_clip(path: Path) -> Clip:
    """All frames of a video file at the ratio that `rvm-matte` chooses, without warm starts.

    Raises:
        UsageError: there is no such video, or it cannot be decoded.
    """
    options = MatteOptions(warm_start=False)
    with _as_usage_error(), VideoReader(path, options) as reader:
        ratio = options.ratio_for(reader.info.width_pixels, reader.info.height_pixels)
    return Clip(path.name, ratio, partial(_video_chunks, path, options))


def _golden_chunks(case: GoldenCase) -> Iterator[Tensor]:
    yield torch.from_numpy(case.src)


def _video_chunks(path: Path, options: MatteOptions) -> Iterator[Tensor]:
    with _as_usage_error(), VideoReader(path, options) as reader:
        for chunk in reader.chunks(_FRAMES_PER_CHUNK):
            yield torch.from_numpy(chunk.src)


@contextmanager
def _as_usage_error() -> Iterator[None]:
    """The client's sentence as ours."""
    try:
        yield
    except RvmError as exc:
        raise UsageError(f"--clip: {exc}") from exc
