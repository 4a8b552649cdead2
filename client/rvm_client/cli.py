"""`rvm-matte`: a video file or URL in, a matted video out."""

import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
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

from rvm_client import __version__
from rvm_client.cli_options import background_of, matte_flags, matte_options
from rvm_client.config import Settings, load_settings
from rvm_client.contact_sheet import write_contact_sheet
from rvm_client.decode import check_source
from rvm_client.download import DownloadLimits, download
from rvm_client.encode import check_output_path
from rvm_client.errors import CancelledError, RvmError, ServerError, UsageError
from rvm_client.frames import OutputType
from rvm_client.hardware import Hardware
from rvm_client.matte import Matter
from rvm_client.options import Limits, MatteOptions
from rvm_client.output.poster import check_preview_path
from rvm_client.pipeline import MatteProgress, MatteResult, matte_video
from rvm_client.server import ServerOptions, TritonServer

_STDERR = Console(stderr=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source", metavar="INPUT")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write."
)
@matte_flags
@click.option(
    "--triton-url",
    metavar="HOST:PORT",
    help="A running Triton server (gRPC). Without it one is started for the run.",
)
@click.option(
    "--contact-sheet",
    type=click.Path(path_type=Path),
    help="Also write a PNG that shows source, alpha and result.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the result, or the error, as one JSON object."
)
@click.version_option(__version__)
def matte(
    source: str,
    output: Path,
    triton_url: str | None,
    contact_sheet: Path | None,
    as_json: bool,
    background: str | None,
    **flags: Any,
) -> None:
    """Remove the background of the video INPUT, a file or an http(s) URL."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        settings = load_settings()
        behind = background_of(background)
        known = Path() if isinstance(behind, str) else behind
        options = replace(
            matte_options(output, background=known, **flags),
            limits=Limits.configured(settings),
            hardware=Hardware.configured(settings),
        )
        _check_paths(output, options, contact_sheet)
        with ExitStack() as stack:
            if isinstance(behind, str):
                file = stack.enter_context(_local_file(behind, settings))
                options = replace(options, background=file)
            path = stack.enter_context(_local_file(source, settings))
            check_source(path, options)
            matter = stack.enter_context(_matter(triton_url or settings.triton_url, settings))
            progress = stack.enter_context(_progress_bar(quiet=as_json))
            result = matte_video(path, output, matter, options, on_progress=progress)
            if contact_sheet is not None:
                write_contact_sheet(
                    path,
                    output,
                    contact_sheet,
                    duration_seconds=result.duration_seconds,
                    start_seconds=options.start_seconds or 0.0,
                )
    except KeyboardInterrupt:
        _fail(CancelledError("stopped"), as_json)
    except RvmError as exc:
        _fail(exc, as_json)
    _report(result, as_json)


def _check_paths(output: Path, options: MatteOptions, contact_sheet: Path | None) -> None:
    """Refuse names of files that cannot be written before anything costly starts.

    Raises:
        UsageError: naming the file.
    """
    check_output_path(output, options.output_type)
    if options.preview is not None:
        check_preview_path(options.preview)
    if contact_sheet is not None and options.output_type is OutputType.PNG_SEQUENCE:
        raise UsageError("a contact sheet is made of a video; leave it out with png_sequence")


@contextmanager
def _local_file(source: str, settings: Settings) -> Iterator[Path]:
    """`source` as a file: itself, or downloaded for as long as it is needed."""
    if "://" not in source:
        yield Path(source)
        return
    limits = DownloadLimits(
        max_bytes=settings.max_download_bytes,
        allow_private_addresses=settings.allow_private_addresses,
    )
    with tempfile.TemporaryDirectory(prefix="rvm-") as folder:
        target = Path(folder) / "source"
        with _STDERR.status("Downloading"):
            download(source, target, limits)
        yield target


@contextmanager
def _matter(url: str | None, settings: Settings) -> Iterator[Matter]:
    """The model on the server at `url`, or on one that lives as long as this command."""
    if url is not None:
        with Matter(url, request_timeout_s=settings.request_timeout_s) as matter:
            yield matter
        return
    options = ServerOptions(
        model_repository=settings.model_repository,
        ready_timeout_s=settings.server_ready_timeout_s,
        tritonserver=settings.tritonserver,
        cache_dir=settings.cache_dir,
        # Nobody else has requests on it.
        exit_timeout_s=0,
    )
    with ExitStack() as stack:
        with _STDERR.status("Starting the Triton server"):
            server = stack.enter_context(TritonServer.start(options))
        timeout_s = settings.request_timeout_s
        matter = stack.enter_context(Matter(server.grpc_url, request_timeout_s=timeout_s))
        try:
            yield matter
        except ServerError:
            server.check_alive()
            raise


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


def _report(result: MatteResult, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(result), default=str))
        return
    fps = result.frames / result.processing_seconds
    click.echo(
        f"{result.path}: {result.frames} frames of {result.width_pixels}x{result.height_pixels} "
        f"in {result.processing_seconds:.1f} s ({fps:.1f} fps), {result.bytes / 1e6:.1f} MB"
    )
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)


def _fail(error: RvmError, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"error": str(error)}))
    else:
        click.echo(f"error: {error}", err=True)
    sys.exit(error.exit_code)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
