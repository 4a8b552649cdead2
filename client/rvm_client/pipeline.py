"""The stages in a row: decode -> scenes -> matte -> encode.

Decode, matte and encode run at the same time, joined by bounded queues: memory does not grow
with the length of the video, and the slowest stage sets the speed.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from rvm_client.backdrop import open_backdrop
from rvm_client.config import Settings
from rvm_client.decode import Reader
from rvm_client.encode import VIDEO_FORMATS, Writer, open_writer, takes_planes
from rvm_client.errors import GpuMemoryError, HardwareEncoderError, StoppedError, printable
from rvm_client.frames import MatteChunk, SourceChunk, VideoInfo
from rvm_client.isolated import Opener, OpensHere
from rvm_client.machine import available_cores, naming_want_of_memory, say_once
from rvm_client.matte import (
    ChunkSession,
    ChunkShape,
    Label,
    MattingModel,
    frames_per_request,
    shared_room_bytes,
)
from rvm_client.options import Limits, MatteOptions, ModelName
from rvm_client.output_types import FileRole, OutputType
from rvm_client.pixels import GREEN
from rvm_client.prefetch import Prefetch
from rvm_client.refine import refined
from rvm_client.scenes import with_warm_up
from rvm_client.sound import SoundTrack
from rvm_client.stopwatch import Stopwatch, timed

_LESS_MEMORY = (
    "the memory of the server's GPU ran out, so frames went to it one at a time, which is slower"
)
# Chunks that wait between two stages. One lets a stage run ahead; more only cost memory.
QUEUE_DEPTH = 1
# While one video waits for the network, another can use the GPU. Decoding and encoding two at a
# time takes cores.
_JOBS_ON_GPU = 2
_CORES_FOR_SEVERAL_JOBS = 8


@dataclass(frozen=True)
class MatteProgress:
    """How far the work has come."""

    frames_done: int
    frames_expected: int | None
    """From the header; None where the file does not say."""


@dataclass(frozen=True)
class StageSeconds:
    """How long each stage was at work. They overlap, so they add up to more than the whole."""

    decode: float
    matte: float
    encode: float


@dataclass(frozen=True)
class MatteResult:
    """What was written."""

    path: Path
    """The file with the role `output`."""
    files: Mapping[FileRole, Path]
    also: Mapping[OutputType, Mapping[FileRole, Path]]
    """The files of the further results."""
    output_type: OutputType
    width_pixels: int
    height_pixels: int
    frames: int
    warm_up_frames: int
    """Frames that went through the model beside these, for its state only."""
    cuts: int
    """Cuts between scenes that were found; 0 without a warm start."""
    average_fps: float
    duration_seconds: float
    bytes: int
    """The bytes of all files."""
    downsample_ratio: float
    transport: str
    """How frames went to the model: "shared memory" or "gRPC"."""
    pixel_layout: str
    """What they were: "RGB" or "I420"."""
    video_decoder: str
    video_encoder: str
    """FFmpeg's names of what was used at the end; `..._nvdec` and `..._nvenc` on a GPU."""
    model: ModelName
    """The network that made it."""
    model_version: str
    """The version of its model."""
    processing_seconds: float
    stage_seconds: StageSeconds
    warnings: tuple[str, ...] = ()
    """What of the source is not in the output as it should be, or was made in another way than
    was wished for, a sentence each."""


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
    options, notes = _with_served_model(options, model)
    run = _Run(
        Path(source),
        Path(target),
        model,
        options,
        limits or Limits(),
        opener or OpensHere(),
        on_progress,
        on_source,
        cancelled,
        request_id,
        notes,
    )
    with naming_want_of_memory():
        try:
            return run.matte()
        except HardwareEncoderError as exc:
            say_once(f"A video is matted again, with codecs in software: {exc}")
            again = replace(run, limits=run.limits.in_software())
        except GpuMemoryError:
            if options.frames_per_request == 1:
                raise
            one_by_one = replace(options, frames_per_request=1)
            again = replace(run, options=one_by_one, notes=(*notes, _LESS_MEMORY))
        return again.matte()


def transcode(
    source: Path,
    target: Path,
    options: MatteOptions,
    limits: Limits,
    *,
    opener: Opener | None = None,
    cancelled: threading.Event | None = None,
) -> None:
    """Encode a result that has alpha again as the type of `options`; nothing is matted.

    `opener` as in `matte_video`: the sound of a result may be a stranger's.

    Raises:
        InputError, OutputError, StoppedError, OutOfMemoryError: as `matte_video`.
    """
    with naming_want_of_memory(), ExitStack() as stack:
        opener = opener or OpensHere()
        reader = stack.enter_context(opener.video(source, options, limits, keeps_alpha=True))
        sound = _open_sound(stack, opener, source, options, reader.info, [])
        writer = stack.enter_context(
            open_writer(target, options, reader.info, sound=sound, jobs_at_once=limits.jobs_at_once)
        )
        for chunk in reader.mattes():
            _check_cancelled(cancelled)
            writer.write(chunk)


def jobs_at_once(settings: Settings, model: MattingModel) -> int:
    """How many videos are matted at a time: the setting, else what fits the machine."""
    if settings.jobs_at_once:
        return settings.jobs_at_once
    has_cores = available_cores() >= _CORES_FOR_SEVERAL_JOBS
    return _JOBS_ON_GPU if model.runs_on_gpu and has_cores else 1


class _Watches:
    def __init__(self) -> None:
        self.decode, self.matte, self.encode = Stopwatch(), Stopwatch(), Stopwatch()

    def read(self) -> StageSeconds:
        return StageSeconds(self.decode.seconds, self.matte.seconds, self.encode.seconds)


@dataclass(frozen=True)
class _Run:
    """One video on its way through the stages; what is noted on the way goes into the result."""

    source: Path
    target: Path
    model: MattingModel
    options: MatteOptions
    limits: Limits
    opener: Opener
    on_progress: Callable[[MatteProgress], None] | None
    on_source: Callable[[SourceChunk, VideoInfo], None] | None
    cancelled: threading.Event | None
    request_id: str
    notes: tuple[str, ...] = ()
    """What the result is to say of a run before this one."""
    watches: _Watches = field(default_factory=_Watches, init=False)
    cuts: list[int] = field(default_factory=list, init=False)
    """Timestamps of the frames that start a scene after a cut."""
    warnings: list[str] = field(default_factory=list, init=False)

    def matte(self) -> MatteResult:
        started_s = time.monotonic()
        with ExitStack() as stack:
            reader = stack.enter_context(self._reader())
            writer = stack.enter_context(self._writer(stack, reader.info))
            room_bytes = shared_room_bytes(self.limits.jobs_at_once)
            count = self._frames_per_chunk(reader.info, room_bytes)
            session = stack.enter_context(self._session(reader.info, count, room_bytes))
            mattes = self._mattes(stack, reader, session, count)
            for chunk in refined(mattes, self.options.refinements, reader.info):
                self._write(writer, chunk, reader.info)
            self._note_damage(reader)
        return self._result(reader, session, writer, time.monotonic() - started_s)

    def _reader(self) -> Reader:
        model_takes_planes = self.model.takes_planes(self.options.variant)
        in_planes = model_takes_planes and takes_planes(self.options)
        return self.opener.video(self.source, self.options, self.limits, takes_planes=in_planes)

    def _writer(self, stack: ExitStack, info: VideoInfo) -> Writer:
        background = self.options.background or GREEN
        backdrop = stack.enter_context(open_backdrop(background, info, self.limits, self.opener))
        sound = self._sound(stack, self.options, info, self.warnings)
        also_sounds = {
            also.output_type: opened
            for also in self.options.also
            # What is lost of the sound has been said.
            if (opened := self._sound(stack, self.options.alone(also), info, []))
        }
        return open_writer(
            self.target,
            self.options,
            info,
            hardware=self.limits.hardware,
            backdrop=backdrop,
            sound=sound,
            also_sounds=also_sounds,
            jobs_at_once=self.limits.jobs_at_once,
        )

    def _sound(
        self, stack: ExitStack, options: MatteOptions, info: VideoInfo, warnings: list[str]
    ) -> SoundTrack | None:
        return _open_sound(stack, self.opener, self.source, options, info, warnings)

    def _frames_per_chunk(self, info: VideoInfo, room_bytes: int) -> int:
        return self.options.frames_per_request or frames_per_request(
            info.width_pixels,
            info.height_pixels,
            on_gpu=self.model.runs_on_gpu,
            layout=info.layout,
            queue_depth=QUEUE_DEPTH,
            room_bytes=room_bytes,
        )

    def _session(self, info: VideoInfo, frames_per_chunk: int, room_bytes: int) -> ChunkSession:
        width, height = info.width_pixels, info.height_pixels
        return self.model.session(
            self.options.ratio_for(width, height),
            ChunkShape(frames_per_chunk, height, width),
            info.layout,
            self.options.variant,
            queue_depth=QUEUE_DEPTH,
            room_bytes=room_bytes,
            label=Label(self.request_id),
        )

    def _mattes(
        self, stack: ExitStack, reader: Reader, session: ChunkSession, frames_per_chunk: int
    ) -> Iterator[MatteChunk]:
        """Decode and matte, each in a thread of its own."""
        decoded = timed(self._source_chunks(reader, frames_per_chunk), self.watches.decode)
        if self.options.warm_start:
            decoded = with_warm_up(
                decoded,
                frames_per_chunk=frames_per_chunk,
                layout=reader.info.layout,
                on_cut=self.cuts.append,
            )
        staged = session.staged(decoded)
        chunks = stack.enter_context(Prefetch(staged, depth=QUEUE_DEPTH, name="decode"))
        mattes = Prefetch(
            session.matte_all(
                chunks,
                self.watches.matte,
                keep_source=self.options.refinements.needs_source,
            ),
            depth=QUEUE_DEPTH,
            name="matte",
            is_stopped=self._is_cancelled,
        )
        prefetched = stack.enter_context(mattes)
        # Before its thread is joined: a request to a server that hangs would hold us.
        stack.callback(session.stop)
        return prefetched

    def _is_cancelled(self) -> bool:
        return self.cancelled is not None and self.cancelled.is_set()

    def _source_chunks(self, reader: Reader, frames_per_chunk: int) -> Iterator[SourceChunk]:
        for chunk in reader.chunks(frames_per_chunk):
            if self.on_source is not None:
                self.on_source(chunk, reader.info)
            yield chunk

    def _write(self, writer: Writer, chunk: MatteChunk, info: VideoInfo) -> None:
        _check_cancelled(self.cancelled)
        with self.watches.encode:
            writer.write(chunk)
        if self.on_progress is not None:
            self.on_progress(MatteProgress(writer.frames_written, info.frame_count_from_header))

    def _note_damage(self, reader: Reader) -> None:
        if reader.damaged_packets:
            self.warnings.append(
                f"{reader.damaged_packets} packets of the video are damaged; what could be "
                "decoded was matted"
            )

    def _result(
        self, reader: Reader, session: ChunkSession, writer: Writer, seconds: float
    ) -> MatteResult:
        info, frames = reader.info, writer.frames_written
        return MatteResult(
            path=self.target,
            files=writer.files,
            also=writer.also,
            output_type=self.options.output_type,
            width_pixels=info.width_pixels,
            height_pixels=info.height_pixels,
            frames=frames,
            warm_up_frames=session.warm_up_frames,
            cuts=len(self.cuts),
            transport=session.transport_name,
            pixel_layout=info.layout.name,
            video_decoder=reader.decoder,
            video_encoder=writer.encoder,
            average_fps=float(info.average_fps),
            duration_seconds=info.duration_seconds or frames / float(info.average_fps),
            bytes=sum(path.stat().st_size for path in _all_files(writer)),
            downsample_ratio=self.options.ratio_for(info.width_pixels, info.height_pixels),
            model=self.options.model,
            model_version=session.model_version,
            processing_seconds=seconds,
            stage_seconds=self.watches.read(),
            warnings=tuple(map(printable, (*self.notes, *self.warnings))),
        )


def _all_files(writer: Writer) -> Iterator[Path]:
    for files in (writer.files, *writer.also.values()):
        yield from files.values()


def _open_sound(
    stack: ExitStack,
    opener: Opener,
    source: Path,
    options: MatteOptions,
    info: VideoInfo,
    warnings: list[str],
) -> SoundTrack | None:
    """The sound of the same part of the source; `warnings` gets what is lost of it."""
    if not (options.output_type.facts.has_sound and options.audio):
        return None
    start_seconds, end_seconds = options.start_seconds or 0.0, options.end_seconds
    if end_seconds is not None:
        # Both count from the first frame of the file.
        end_seconds += float(info.first_pts * info.time_base) - start_seconds
    sound = SoundTrack.open(
        source,
        VIDEO_FORMATS[options.output_type].container,
        warn=warnings.append,
        origin_seconds=float(info.origin_seconds) if start_seconds else None,
        end_seconds=end_seconds,
        open_sound=opener.sound,
    )
    return sound and stack.enter_context(sound)


def _with_served_model(
    options: MatteOptions, model: MattingModel
) -> tuple[MatteOptions, tuple[str, ...]]:
    """The options with a model that the server has, and what the result is to say of it."""
    if not options.or_default_model or model.has(options.variant):
        model.check_has(options.variant)
        return options, ()
    taken = replace(options, model=MatteOptions.model)
    return taken, (f"the server has no model {options.model}, so {taken.model} made this",)


def _check_cancelled(cancelled: threading.Event | None) -> None:
    if cancelled is not None and cancelled.is_set():
        raise StoppedError("the work was cancelled")
