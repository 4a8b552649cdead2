"""`rvm-export activate` and `rollback`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from rvm_client.config import load_settings
from rvm_client.errors import RvmError
from rvm_client.matte import Credentials
from rvm_export.cli.shared import (
    Command,
    models_of,
    one_line_errors,
    repository_option,
    say,
    variant_option,
)
from rvm_export.errors import RolloutError
from rvm_export.repository import Repository
from rvm_export.rollout import Activation, ModelServer, drain, previous_version
from rvm_export.rollout import activate as switch
from rvm_export.wire import Variant

_INTERRUPTED = 130


def _server_options(command: Command) -> Command:
    options: list[Callable[[Command], Command]] = [
        click.option(
            "--server",
            metavar="HOST:PORT",
            help="gRPC endpoint of a server that runs. Without it: for servers that start later.",
        ),
        click.option(
            "--idle",
            "idle_s",
            type=click.FloatRange(min=0),
            default=120.0,
            show_default=True,
            help="Seconds without a request after which the videos of a version have ended.",
        ),
        click.option(
            "--drain",
            "drain_s",
            type=click.FloatRange(min=0),
            default=3600.0,
            show_default=True,
            help="Seconds after which the version before is unloaded in any case.",
        ),
        click.option("--no-wait", is_flag=True, help="Leave the version before loaded."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("version", type=click.IntRange(min=1))
@variant_option
@_server_options
@repository_option
def activate(
    version: int,
    variant: str,
    server: str | None,
    idle_s: float,
    drain_s: float,
    no_wait: bool,
    repository: Path | None,
) -> None:
    """Let new videos begin with a version; those that run end with theirs."""
    with one_line_errors():
        models = models_of(repository, Variant(variant))
        _roll_out(models, version, server, None if no_wait else (idle_s, drain_s))


@click.command()
@variant_option
@_server_options
@repository_option
def rollback(
    variant: str,
    server: str | None,
    idle_s: float,
    drain_s: float,
    no_wait: bool,
    repository: Path | None,
) -> None:
    """Activate the version that was active before."""
    with one_line_errors():
        models = models_of(repository, Variant(variant))
        wait = None if no_wait else (idle_s, drain_s)
        _roll_out(models, previous_version(models), server, wait)


def _roll_out(
    models: Sequence[Repository],
    version: int,
    url: str | None,
    wait: tuple[float, float] | None,
) -> None:
    activation = Activation.of(models, version)
    name = models[0].kind.name
    if url is None:
        switch(activation, None, say)
        click.echo(f"Version {version} of {name} is active from the next start of a server on.")
        return
    with _connected(url) as server:
        switch(activation, server, say)
        try:
            click.echo(f"Version {version} of {name} is active at {url}.")
            if wait is not None:
                idle_s, limit_s = wait
                drain(activation.repositories, server, say, idle_s=idle_s, limit_s=limit_s)
        except KeyboardInterrupt:
            say("The versions before stay loaded; activate the version again to unload them.")
            sys.exit(_INTERRUPTED)


def _connected(url: str) -> ModelServer:
    try:
        return ModelServer(url, Credentials.configured(load_settings()))
    except RvmError as exc:
        raise RolloutError(str(exc)) from exc
