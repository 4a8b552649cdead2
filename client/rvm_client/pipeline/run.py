"""The stages in a row: decode -> scenes -> matte -> refine -> encode.

Decode, matte and encode run at the same time, joined by bounded queues: memory does not grow
with the length of the video, and the slowest stage sets the speed.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rvm_client.backdrop import open_backdrop
from rvm_client.decode import Reader
from rvm_client.encode import Writer, open_writer, takes_planes
from rvm_client.errors import printable
from rvm_client.frames import MatteChunk, SourceChunk, VideoInfo
from rvm_client.isolated import Opener
from rvm_client.matte import (
    ChunkSession,
    ChunkShape,
    Label,
    MattingModel,
    frames_per_request,
    shared_room_bytes,
)
from rvm_client.options import Limits, MatteOptions
from rvm_client.pipeline.parts import check_cancelled, open_sound
from rvm_client.pipeline.results import MatteProgress, MatteResult, StageSeconds
from rvm_client.pixels import GREEN
from rvm_client.prefetch import Prefetch
from rvm_client.refine import Findings, refined
from rvm_client.scenes import with_warm_up
from rvm_client.sound import SoundTrack
from rvm_client.stopwatch import Stopwatch, timed

# Chunks that wait between two stages. One lets a stage run ahead; more only cost memory.
QUEUE_DEPTH = 1


class _Watches:
    def __init__(self) -> None:
        self.decode, self.matte, self.encode = Stopwatch(), Stopwatch(), Stopwatch()

    def read(self) -> StageSeconds:
        return StageSeconds(self.decode.seconds, self.matte.seconds, self.encode.seconds)


@dataclass(frozen=True)
class Run:
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
    findings: Findings = field(default_factory=Findings, init=False)

    def matte(self) -> MatteResult:
        started_s = time.monotonic()
        with ExitStack() as stack:
            reader = stack.enter_context(self._reader())
            writer = stack.enter_context(self._writer(stack, reader.info))
            room_bytes = shared_room_bytes(self.limits.jobs_at_once)
            count = self._frames_per_chunk(reader.info, room_bytes)
            session = stack.enter_context(self._session(reader.info, count, room_bytes))
            mattes = self._mattes(stack, reader, session, count)
            for chunk in self._refined(mattes, reader.info):
                self._write(writer, chunk, reader.info)
            self._note_damage(reader)
            self._note_screen(writer.frames_written)
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
        return open_sound(stack, self.opener, self.source, options, info, warnings)

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
            decoded = self._warmed_up(decoded, frames_per_chunk, reader.info)
        staged = session.staged(decoded)
        chunks = stack.enter_context(Prefetch(staged, depth=QUEUE_DEPTH, name="decode"))
        mattes = Prefetch(
            self._matted(session, chunks),
            depth=QUEUE_DEPTH,
            name="matte",
            is_stopped=self._is_cancelled,
        )
        prefetched = stack.enter_context(mattes)
        # Before its thread is joined: a request to a server that hangs would hold us.
        stack.callback(session.stop)
        return prefetched

    def _warmed_up(
        self, chunks: Iterator[SourceChunk], frames_per_chunk: int, info: VideoInfo
    ) -> Iterator[SourceChunk]:
        return with_warm_up(
            chunks,
            frames_per_chunk=frames_per_chunk,
            layout=info.layout,
            on_cut=self.cuts.append,
        )

    def _matted(self, session: ChunkSession, chunks: Iterator[SourceChunk]) -> Iterator[MatteChunk]:
        needs_source = self.options.refinements.needs_source
        return session.matte_all(chunks, self.watches.matte, keep_source=needs_source)

    def _refined(self, mattes: Iterator[MatteChunk], info: VideoInfo) -> Iterator[MatteChunk]:
        return refined(
            mattes,
            self.options.refinements,
            info,
            self.findings,
            start_seconds=self.options.start_seconds or 0.0,
            shows_dropped=self.options.preview is not None,
        )

    def _is_cancelled(self) -> bool:
        return self.cancelled is not None and self.cancelled.is_set()

    def _source_chunks(self, reader: Reader, frames_per_chunk: int) -> Iterator[SourceChunk]:
        for chunk in reader.chunks(frames_per_chunk):
            if self.on_source is not None:
                self.on_source(chunk, reader.info)
            yield chunk

    def _write(self, writer: Writer, chunk: MatteChunk, info: VideoInfo) -> None:
        check_cancelled(self.cancelled)
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

    def _note_screen(self, frames: int) -> None:
        without = frames - self.findings.keyed_frames
        if self.options.refinements.source_type == "green_screen" and without:
            self.warnings.append(
                f"{without} of {frames} frames have no screen of one colour behind the person, so "
                "their mattes are the model's alone"
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
            keyed_frames=self.findings.keyed_frames,
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
