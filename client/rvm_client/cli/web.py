"""`rvm-web`: a page to try it, on this machine."""

import importlib.util
import sys
from pathlib import Path

import click
from pydantic import SecretStr

from rvm_client import __version__
from rvm_client.cli.serve import FILE, PORT, FolderOrBucket
from rvm_client.config import BucketLocation, Settings, load_settings
from rvm_client.errors import ConfigError, RvmError
from rvm_client.machine import keep_memory_private, share_one_heap
from rvm_client.signals import stop_on_signals


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", help="The address to listen at.  [default: 127.0.0.1]")
@click.option("--port", type=PORT, help="0: any free one.  [default: 7860]")
@click.option(
    "--triton-url",
    metavar="HOST:PORT",
    help="A running Triton server (gRPC). Without it one is started.",
)
@click.option(
    "--model-repository",
    type=FolderOrBucket(),
    help="The folder with the model, or s3://BUCKET/PREFIX.  [default: RVM_MODEL_REPOSITORY]",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where files and jobs are kept.  [default: a folder of the user's]",
)
@click.option("--password-file", type=FILE, help="What users have to know.")
@click.option(
    "--keep-seconds", type=click.FloatRange(min=1), help="Then files go.  [default: 3600]"
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Another name by which browsers call this server. May be given again.",
)
@click.version_option(__version__)
def web(
    host: str | None,
    port: int | None,
    triton_url: str | None,
    model_repository: Path | BucketLocation | None,
    state: Path | None,
    password_file: Path | None,
    keep_seconds: float | None,
    allowed_hosts: tuple[str, ...],
) -> None:
    """Serve a page on which videos are matted, until Ctrl-C or SIGTERM.

    One line on stdout says where it is. Only this machine reaches it unless --host says otherwise,
    which needs a password.
    """
    stop_on_signals()
    share_one_heap()
    # The password is in it.
    keep_memory_private()
    try:
        settings = load_settings()
        given = {
            "triton_url": triton_url,
            "model_repository": model_repository,
            "web_host": host,
            "web_port": port,
            "web_state": state,
            "web_keep_seconds": keep_seconds,
            "web_password": _read_password(password_file),
            "web_allowed_hosts": " ".join(allowed_hosts) or None,
        }
        changes = {name: value for name, value in given.items() if value is not None}
        _serve(settings.model_copy(update=changes))
    except RvmError as exc:
        click.echo(f"error: {exc}", err=True)
        sys.exit(exc.exit_code)
    except KeyboardInterrupt:
        sys.exit(0)


def _serve(settings: Settings) -> None:
    for package in ("starlette", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"{package} is not installed: pip install 'rvm-triton[web]'")
    from rvm_client.web import PageOptions, PageServer

    server = PageServer(PageOptions.configured(settings))
    server.run(lambda url: click.echo(f"open {url}"))


def _read_password(file: Path | None) -> SecretStr | None:
    if file is None:
        return None
    try:
        password = file.read_text("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"the password cannot be read from {file}: {exc}") from exc
    return SecretStr(password)
