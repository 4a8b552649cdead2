"""Alpha mattes and foregrounds to the files of the output.

`open_writer` chooses the files: `video_file` writes videos, `png_sequence` a zip of pictures,
`animated` and `gif` animated pictures, `preview` the picture. All of them appear, or none does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rvm_client.encode import planar_frames, rgb_frames
from rvm_client.encode.animated import animated_file
from rvm_client.encode.backdrops import Backdrop, ColourBackdrop
from rvm_client.encode.file import OutputFile
from rvm_client.encode.formats import VIDEO_FORMATS
from rvm_client.encode.parts import JoinedFile, PartFile
from rvm_client.encode.png_sequence import PngSequence
from rvm_client.encode.preview import Preview
from rvm_client.encode.video_file import FrameMaker, Sound, VideoFile
from rvm_client.encode.web_page import Poster, WebPage
from rvm_client.errors import UsageError
from rvm_client.frames import MatteChunk, Picture, VideoInfo
from rvm_client.machine import Hardware
from rvm_client.options import MatteOptions
from rvm_client.output_types import FileRole, OutputType
from rvm_client.pixels import GREEN, I420


class Writer:
    """Takes the frames of one result; a context manager.

    The files take their places when the context is left without an error; otherwise nothing
    is left of them.

    Raises:
        OutputError: a folder cannot be written, the disk is full, or an encoder refuses.
    """

    def __init__(
        self,
        files: Mapping[FileRole, OutputFile],
        info: VideoInfo,
        also: Mapping[OutputType, Mapping[FileRole, OutputFile]] | None = None,
        *,
        first_pts: int | None = None,
    ) -> None:
        self._files = files
        self._also = also or {}
        self._all = [*files.values(), *(f for more in self._also.values() for f in more.values())]
        self._info = info
        self._first_pts = first_pts
        self.frames_written = 0

    @property
    def files(self) -> Mapping[FileRole, Path]:
        """What is there of the first result after the context was left."""
        return _paths(self._files)

    @property
    def also(self) -> Mapping[OutputType, Mapping[FileRole, Path]]:
        """The same of the further results."""
        return {output_type: _paths(files) for output_type, files in self._also.items()}

    @property
    def encoder(self) -> str:
        """FFmpeg's names of what encodes, joined by commas where the files differ."""
        names = [file.encoder for file in self._all if file.encoder is not None]
        return ", ".join(dict.fromkeys(names))

    def __enter__(self) -> "Writer":
        self._all_or_none(OutputFile.open)
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *exc_info: object) -> None:
        if exc_type is not None:
            self._discard()
            return
        self._all_or_none(OutputFile.finish)
        self._all_or_none(OutputFile.publish)

    def write(self, chunk: MatteChunk) -> None:
        """Encode the next frames."""
        if self._first_pts is None:
            self._first_pts = chunk.pts[0]
        dropped = [None] * len(chunk.pts) if chunk.dropped is None else chunk.dropped
        for fgr, pha, pts, lost in zip(chunk.fgr, chunk.pha, chunk.pts, dropped, strict=True):
            seconds = float((pts - self._first_pts) * self._info.time_base)
            picture = Picture(fgr, pha, pts, seconds, lost)
            for file in self._all:
                file.write(picture)
            self.frames_written += 1

    def _all_or_none(self, step: Callable[[OutputFile], None]) -> None:
        try:
            for file in self._all:
                step(file)
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        for file in self._all:
            file.discard()


def open_writer(
    target: Path,
    options: MatteOptions,
    info: VideoInfo,
    *,
    hardware: Hardware | None = None,
    backdrop: Backdrop | None = None,
    sound: Sound | None = None,
    also_sounds: Mapping[OutputType, Sound] | None = None,
    jobs_at_once: int = 1,
) -> Writer:
    """The writer of all results that the options ask for.

    Args:
        target: the file to write; the matte of `foreground_and_matte` lies beside it.
        options: output type, quality, preview, and what there is to be beside.
        info: size, times, tags and layout of the frames; planes only where `takes_planes`.
        hardware: where a GPU may be that encodes; None: nowhere.
        backdrop: what `greenscreen` puts behind the person; None is the green.
        sound: goes into the file with the role `output`, if that is a video.
        also_sounds: the same for the further results; a sound belongs to one file.
        jobs_at_once: results that are written at the same time, and share cores and memory.
    """
    options = options.unfolded(target)
    frames_of = planar_frames if isinstance(info.layout, I420) else rgb_frames
    makers = frames_of.frame_makers(backdrop or ColourBackdrop(GREEN))
    maker = _FileMaker(info, hardware or Hardware(), makers, jobs_at_once)
    files = maker.files(target, options, sound)
    if options.preview is not None:
        files[FileRole.PREVIEW] = Preview(options.preview, info)
    if options.poster is not None:
        files[FileRole.POSTER] = Poster(options.poster, info)
    if options.page is not None:
        files[FileRole.PAGE] = WebPage(options.page, target, info)
    also = {
        result.output_type: maker.files(
            result.target, options.alone(result), (also_sounds or {}).get(result.output_type)
        )
        for result in options.also
    }
    return Writer(files, info, also)


def open_part_writer(
    target: Path,
    options: MatteOptions,
    info: VideoInfo,
    *,
    hardware: Hardware | None = None,
    backdrop: Backdrop | None = None,
    jobs_at_once: int = 1,
) -> Writer:
    """The writer of one segment of a result, into parts instead of videos; see `open_writer`."""
    frames_of = planar_frames if isinstance(info.layout, I420) else rgb_frames
    makers = frames_of.frame_makers(backdrop or ColourBackdrop(GREEN))
    maker = _FileMaker(info, hardware or Hardware(), makers, jobs_at_once, PartFile)
    # Times, such as those of a video behind the person, are those of the whole.
    return Writer(maker.files(target, options, None), info, first_pts=info.first_pts)


def open_joined(
    target: Path,
    options: MatteOptions,
    info: VideoInfo,
    segments: Sequence[Path],
    *,
    hardware: Hardware | None = None,
    sound: Sound | None = None,
    check: Callable[[], None] = lambda: None,
) -> Writer:
    """What joins the parts of segments as its context is left; it takes no frames.

    Args:
        target: as in `open_writer`.
        options: as they were for the segments.
        info: of the whole.
        segments: the targets that `open_part_writer` had, in order.
        hardware: as in `open_writer`.
        sound: of the whole.
        check: is called often; raises to stop.
    """

    def joined(path: Path, parts: Sequence[Path], sound: Sound | None) -> JoinedFile:
        format_ = VIDEO_FORMATS[options.output_type]
        gpu = hardware or Hardware()
        return JoinedFile(path, format_, info, options, gpu, parts, sound, check)

    files: dict[FileRole, OutputFile] = {FileRole.OUTPUT: joined(target, segments, sound)}
    if FileRole.MATTE in options.output_type.facts.roles:
        parts = [matte_path(segment) for segment in segments]
        files[FileRole.MATTE] = joined(matte_path(target), parts, None)
    return Writer(files, info)


@dataclass(frozen=True)
class _FileMaker:
    """Makes the files of a result of any type."""

    info: VideoInfo
    hardware: Hardware
    makers: Mapping[OutputType, FrameMaker]
    jobs_at_once: int
    video_file: type[VideoFile] = VideoFile

    def files(
        self, target: Path, options: MatteOptions, sound: Sound | None
    ) -> dict[FileRole, OutputFile]:
        """Those of the options' output type, without the preview."""
        facts = options.output_type.facts
        files: dict[FileRole, OutputFile] = {}
        if facts.animation is not None:
            files[FileRole.OUTPUT] = animated_file(target, options, self.info, self.jobs_at_once)
        elif not facts.is_video:
            files[FileRole.OUTPUT] = PngSequence(target, self.jobs_at_once)
        else:
            files[FileRole.OUTPUT] = self._video(target, options, options.output_type, sound)
        if FileRole.MATTE in facts.roles:
            files[FileRole.MATTE] = self._video(matte_path(target), options, OutputType.MATTE, None)
        return files

    def _video(
        self, path: Path, options: MatteOptions, shows: OutputType, sound: Sound | None
    ) -> VideoFile:
        return self.video_file(
            path,
            VIDEO_FORMATS[options.output_type],
            self.makers[shows],
            self.info,
            options,
            self.hardware,
            sound,
            self.jobs_at_once,
        )


def _paths(files: Mapping[FileRole, OutputFile]) -> dict[FileRole, Path]:
    return {role: file.path for role, file in files.items()}


def matte_path(target: Path) -> Path:
    """Where the matte of `foreground_and_matte` lies: x.matte.mp4 beside x.mp4."""
    return OutputType.FOREGROUND_AND_MATTE.beside(target, FileRole.MATTE)


def check_output_path(path: Path, output_type: OutputType) -> None:
    """Refuse a file name that says another container than the one that will be written.

    Raises:
        UsageError: naming the suffix that fits.
    """
    if path.suffix.lower() != output_type.suffix:
        raise UsageError(
            f"{path.name} does not end in {output_type.suffix}, which output type "
            f"{output_type.value} writes; rename it or choose another output type"
        )
