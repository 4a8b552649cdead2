"""A video file to a matted video file."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rvm_client.config import Settings
from rvm_client.errors import GpuMemoryError, HardwareEncoderError
from rvm_client.frames import SourceChunk, VideoInfo
from rvm_client.isolated import Opener, OpensHere
from rvm_client.machine import available_cores, naming_want_of_memory, say_once
from rvm_client.matte import MattingModel
from rvm_client.options import Limits, MatteOptions
from rvm_client.pipeline.results import MatteProgress, MatteResult
from rvm_client.pipeline.run import Run

_LESS_MEMORY = (
    "the memory of the server's GPU ran out, so frames went to it one at a time, which is slower"
)
# While one video waits for the network, another can use the GPU. Decoding and encoding two at a
# time takes cores.
_JOBS_ON_GPU = 2
_CORES_FOR_SEVERAL_JOBS = 8


def matte_video(
    source: Path | str,
    target: Path | str,
    model: MattingModel,
    options: MatteOptions,
    limits: Limits | None = None,
    *,
    opener: Opener | None = None,
    on_progress: Callable[[MatteProgress], None] | None = None,
    on_source: Callable[[SourceChunk, VideoInfo], None] | None = None,
    cancelled: threading.Event | None = None,
    request_id: str = "",
) -> MatteResult:
    """Matte the video file `source` into `target`. All or nothing is written.

    If an encoder on a GPU fails on the way, everything is done once more in software; if the
    memory of the server's GPU runs out, once more with one frame a request.

    Args:
        source: a media file.
        target: the file to write; its suffix is that of the output type.
        model: a connection to the server.
        options: what is wished for.
        limits: what the machine allows; None: the usual limits, and codecs in software.
        opener: opens source and background; None: this process.
        on_progress: called in this thread after each chunk.
        on_source: called in the decoder's thread with each chunk on its way to the model; where
            everything is done once more, from the start again.
        cancelled: set by another thread to stop.
        request_id: what the requests are called in the server's log, each with a number behind it.

    Raises:
        InputError: the source cannot be decoded.
        NotServedError: the server has no such model, and no other will do.
        ServerError: the Triton server failed.
        OutputError: the target cannot be written.
        StoppedError: `cancelled` was set.
        OutOfMemoryError: the memory of this machine ran out.
    """
    options, notes = with_served_model(options, model)
    run = Run(
        Path(source),
        Path(target),
        model,
        options.unfolded(Path(target)),
        limits or Limits(),
        opener or OpensHere(),
        on_progress,
        on_source,
        cancelled,
        request_id,
        notes,
    )
    return matted(run).folded(options.output_type)


def matted(run: Run) -> MatteResult:
    """The result of a run, or of the same by other means where a GPU fails."""
    with naming_want_of_memory():
        try:
            return run.matte()
        except HardwareEncoderError as exc:
            say_once(f"A video is matted again, with codecs in software: {exc}")
            again = replace(run, limits=run.limits.in_software())
        except GpuMemoryError:
            if run.options.frames_per_request == 1:
                raise
            one_by_one = replace(run.options, frames_per_request=1)
            again = replace(run, options=one_by_one, notes=(*run.notes, _LESS_MEMORY))
        return again.matte()


def jobs_at_once(settings: Settings, model: MattingModel) -> int:
    """How many videos are matted at a time: the setting, else what fits the machine."""
    if settings.jobs_at_once:
        return settings.jobs_at_once
    has_cores = available_cores() >= _CORES_FOR_SEVERAL_JOBS
    return _JOBS_ON_GPU if model.runs_on_gpu and has_cores else 1


def with_served_model(
    options: MatteOptions, model: MattingModel
) -> tuple[MatteOptions, tuple[str, ...]]:
    """The options with a model that the server has, and what the result is to say of it."""
    if not options.or_default_model or model.has(options.variant):
        model.check_has(options.variant)
        return options, ()
    taken = replace(options, model=MatteOptions.model)
    return taken, (f"the server has no model {options.model}, so {taken.model} made this",)
