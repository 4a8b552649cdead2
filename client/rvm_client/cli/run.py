"""What `rvm-matte` does once its flags are read. Imported while its server starts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from rvm_client.cli.contact_sheet import ROWS, SourcePictures, write_contact_sheet
from rvm_client.config import Settings
from rvm_client.decode import check_source
from rvm_client.encode import check_output_path, check_preview_path
from rvm_client.errors import InputError, UsageError
from rvm_client.machine import check_memory
from rvm_client.matte import MattingModel, probe_within
from rvm_client.options import Limits, MatteOptions, is_url
from rvm_client.pipeline import MatteProgress, MatteResult, matte_video
from rvm_client.server import StartingServer, Supervisor
from rvm_client.source_file import local_file

_STDERR = Console(stderr=True)
# What the stacks of gRPC's threads need; where one cannot start, gRPC aborts the process.
_GRPC_BYTES = 128 << 20


@dataclass(frozen=True)
class CliJob:
    """One call of `rvm-matte`."""

    source: str
    """A file or URL."""
    output: Path
    options: MatteOptions
    background_url: str | None
    """The URL of the picture or video behind the person, in place of `options.background`."""
    contact_sheet: Path | None


def do_job(
    job: CliJob, settings: Settings, server: StartingServer | str, *, quiet: bool
) -> MatteResult:
    """Matte the video, on a server of our own or one that is named by its URL.

    Raises:
        RvmError: whatever went wrong.
    """
    options, limits = job.options, Limits.configured(settings)
    _check_paths(job.output, options, job.contact_sheet)
    with ExitStack() as stack:
        if job.background_url is not None:
            file = _local_file(stack, job.background_url, settings)
            options = replace(options, background=file)
        path = _local_file(stack, job.source, settings)
        check_source(path, options, limits)
        model = stack.enter_context(_model(server, settings))
        progress = stack.enter_context(_progress_bar(quiet=quiet))
        sources = SourcePictures() if job.contact_sheet is not None else None
        result = matte_video(
            path,
            job.output,
            model,
            options,
            limits,
            on_progress=progress,
            on_source=sources,
        )
    if job.contact_sheet is not None and sources is not None:
        return _with_contact_sheet(result, sources, job.contact_sheet)
    return result


def _with_contact_sheet(result: MatteResult, sources: SourcePictures, path: Path) -> MatteResult:
    """The result, with a warning where there is no sheet: the video is there all the same."""
    try:
        is_stacked = result.output_type.facts.is_stacked
        write_contact_sheet(sources.spread(ROWS), result.path, path, is_stacked=is_stacked)
    except (InputError, OSError, ValueError) as exc:
        warning = f"the contact sheet {path} cannot be made: {exc}"
        return replace(result, warnings=(*result.warnings, warning))
    return result


def _check_paths(output: Path, options: MatteOptions, contact_sheet: Path | None) -> None:
    """Refuse names of files that cannot be written before anything costly starts.

    Raises:
        UsageError: naming the file.
    """
    check_output_path(output, options.output_type)
    if options.preview is not None:
        check_preview_path(options.preview)
    if contact_sheet is not None and not options.output_type.facts.is_video:
        name = options.output_type.value
        raise UsageError(f"a contact sheet is made of a video; leave it out with {name}")


def _local_file(stack: ExitStack, source: str, settings: Settings) -> Path:
    """`source` as a file until the stack is left."""
    status = _STDERR.status("Downloading") if is_url(source) else nullcontext()
    with status:
        return stack.enter_context(local_file(source, settings))


@contextmanager
def _model(server: StartingServer | str, settings: Settings) -> Iterator[MattingModel]:
    """The model on the server."""
    check_memory(_GRPC_BYTES)
    with ExitStack() as stack:
        supply: str | Supervisor
        if isinstance(server, str):
            supply = server
        else:
            with _STDERR.status("Starting the Triton server"):
                ours = server.ready()
            supply = stack.enter_context(Supervisor(ours, probe_within(settings.request_timeout_s)))
        yield stack.enter_context(MattingModel.configured(supply, settings))


class _FpsColumn(ProgressColumn):
    """Frames a second, over the last moments."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("  -- fps" if speed is None else f"{speed:5.1f} fps")


@contextmanager
def _progress_bar(*, quiet: bool) -> Iterator[Callable[[MatteProgress], None]]:
    """A bar on stderr, where that is a terminal: frames, fps and time left."""
    columns = (
        TextColumn("Matting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        _FpsColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_STDERR, disable=quiet or not _STDERR.is_terminal) as bar:
        task = bar.add_task("matting", total=None)

        def show(progress: MatteProgress) -> None:
            expected = progress.frames_expected
            total = None if expected is None else max(expected, progress.frames_done)
            bar.update(task, completed=progress.frames_done, total=total)

        yield show
