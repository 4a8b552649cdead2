"""`rvm-serve`: a Triton server in the foreground, for programs that call it over gRPC."""

import contextlib
import sys
from dataclasses import replace
from pathlib import Path

import click

from rvm_client.config import BucketLocation, folder_or_bucket, load_settings
from rvm_client.errors import RvmError
from rvm_client.server import ServerOptions, Supervisor, TritonServer, active_version
from rvm_client.signals import stop_on_signals

PORT = click.IntRange(0, 65535)
FILE = click.Path(path_type=Path, dir_okay=False)


class FolderOrBucket(click.Path):
    """Where a model repository is."""

    name = "folder or bucket"

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(  # type: ignore[override]
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | BucketLocation:
        """A bucket's folder by its URL, else a path."""
        try:
            place = folder_or_bucket(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        if isinstance(place, BucketLocation):
            return place
        super().convert(value, param, ctx)
        return place


@click.command()
@click.option("--grpc-port", type=PORT, default=8001, show_default=True, help="0: any free port.")
@click.option("--http-port", type=PORT, default=8000, show_default=True, help="0: any free port.")
@click.option("--metrics-port", type=PORT, default=8002, show_default=True, help="0: any free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--http-host", default="127.0.0.1", show_default=True, help="That of HTTP.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="That of metrics.")
@click.option(
    "--token-file", type=FILE, help="What clients have to show.  [default: RVM_TRITON_TOKEN_FILE]"
)
@click.option(
    "--tls-certificate",
    type=FILE,
    help="PEM: encrypt gRPC.  [default: RVM_TRITON_CERTIFICATE_FILE]",
)
@click.option("--tls-key", type=FILE, help="PEM, its key.  [default: RVM_TRITON_KEY_FILE]")
@click.option(
    "--model-repository",
    type=FolderOrBucket(),
    help="The folder with the model, or s3://BUCKET/PREFIX.  [default: RVM_MODEL_REPOSITORY]",
)
@click.option(
    "--model-control",
    type=click.Choice(["none", "explicit"]),
    help="explicit: versions can be rolled out while it runs.  [default: RVM_MODEL_CONTROL]",
)
@click.option("--verbose", is_flag=True, help="Show the server's log on stderr.")
def main(
    grpc_port: int,
    http_port: int,
    metrics_port: int,
    host: str,
    http_host: str,
    metrics_host: str,
    token_file: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    model_repository: Path | BucketLocation | None,
    model_control: str | None,
    verbose: bool,
) -> None:
    """Serve the matting model with Triton until Ctrl-C or SIGTERM.

    One line on stdout says when it is ready. A second Ctrl-C does not wait for requests.
    """
    try:
        settings = load_settings()
        settings = settings.model_copy(
            update={
                "model_repository": model_repository or settings.model_repository,
                "triton_host": host,
                "triton_http_host": http_host,
                "triton_token_file": token_file or settings.triton_token_file,
                "triton_certificate_file": tls_certificate or settings.triton_certificate_file,
                "triton_key_file": tls_key or settings.triton_key_file,
                "model_control": model_control or settings.model_control,
            }
        )
        options = replace(
            ServerOptions.serving(settings),
            grpc_port=grpc_port,
            http_port=http_port,
            metrics_port=metrics_port,
            metrics_host=metrics_host,
            log_stream=sys.stderr if verbose else None,
        )
        serve(options, settings.request_timeout_s)
    except RvmError as exc:
        click.echo(f"rvm-serve: {exc}", err=True)
        sys.exit(exc.exit_code)


def serve(options: ServerOptions, request_timeout_s: float) -> None:
    """Run a server until SIGINT or SIGTERM asks for its end; one that is lost is started anew.

    Raises:
        ServerError: it did not start.
    """
    stop_on_signals()
    # A second signal interrupts the orderly stop, which then kills the server.
    with contextlib.suppress(KeyboardInterrupt), TritonServer.start(options) as server:
        click.echo(ready_line(server))
        # gRPC takes a while to import: the server is there meanwhile.
        from rvm_client.matte import probe_within

        with Supervisor(server, probe_within(request_timeout_s)) as supervisor:
            supervisor.keep()


def ready_line(server: TritonServer) -> str:
    """Where the server answers, and what it serves."""
    options = server.options
    version = active_version(options.model_repository, options.model_name)
    return (
        f"ready: gRPC {server.grpc_url}, HTTP {server.http_url}, metrics {server.metrics_url}, "
        f"model {options.model_name} version {version}"
    )
