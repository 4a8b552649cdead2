"""`rvm-matte`: a video file or URL in, a matted video out.

Here are the flags and the start of the server; `run` has the work.
"""

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from rvm_client import __version__
from rvm_client.cli.flags import background_of, matte_flags, matte_options, output_type_of
from rvm_client.config import load_settings
from rvm_client.errors import RvmError, StoppedError
from rvm_client.machine import naming_want_of_memory, share_one_heap
from rvm_client.server import ServerOptions, StartingServer
from rvm_client.signals import signals_held, stop_on_signals

if TYPE_CHECKING:
    from rvm_client.pipeline import MatteResult


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
    output_type: str | None,
    **flags: Any,
) -> None:
    """Remove the background of the video INPUT, a file or an http(s) URL."""
    stop_on_signals()
    share_one_heap()
    try:
        settings = load_settings()
        behind = background_of(background)
        known = Path() if isinstance(behind, str) else behind
        kind = output_type_of(output, output_type)
        options = matte_options(kind, background=known, **flags)
        with naming_want_of_memory(), ExitStack() as stack:
            server: StartingServer | str | None = triton_url or settings.triton_url
            if server is None:
                # Nobody else has requests on it, so that nothing is waited for at its end.
                own = replace(ServerOptions.configured(settings), exit_timeout_s=0)
                server = stack.enter_context(StartingServer(own))
            # PyAV, gRPC and the rest take a good part of the time that a server needs to start.
            with signals_held():
                from rvm_client.cli.run import CliJob, do_job

            url = behind if isinstance(behind, str) else None
            job = CliJob(source, output, options, url, contact_sheet)
            result = do_job(job, settings, server, quiet=as_json)
    except KeyboardInterrupt:
        _fail(StoppedError("stopped"), as_json)
    except RvmError as exc:
        _fail(exc, as_json)
    _report(result, as_json)


def _report(result: "MatteResult", as_json: bool) -> None:
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
