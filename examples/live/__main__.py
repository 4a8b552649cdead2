"""A live source without its background, on a page of this machine.

    python -m examples.live --server 127.0.0.1:8001 --source camera --background beach.jpg

Ctrl-C ends it. Frames that come while the model is at work are dropped, but for the newest.
"""

import re
import signal
from contextlib import ExitStack, nullcontext
from typing import Any

import click

from rvm_client import MattingSession, RvmError

from .background import Background
from .live import Live
from .page import Page
from .source import FPS, Size, Source, open_source
from .virtual_camera import virtual_camera

# A server that hangs is given up after this; the library then looks for it, or another one.
_REQUEST_TIMEOUT_S = 5.0
_RECONNECT_S = 60.0


class _Size(click.ParamType[Size]):
    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", str(value))
        if found is None:
            self.fail(f"{value!r} is no size such as 640x360", param, ctx)
        return int(found[1]), int(found[2])


@click.command()
@click.option(
    "--server",
    "servers",
    multiple=True,
    default=["127.0.0.1:8001"],
    show_default=True,
    metavar="HOST:PORT",
    help="May be given several times: the next is for a lost one.",
)
@click.option("--source", default="test", show_default=True, metavar="test|camera|FILE")
@click.option("--device", default="/dev/video0", show_default=True, help="The camera.")
@click.option(
    "--size",
    type=_Size(),
    default="640x360",
    show_default=True,
    help="Of the test pattern; cameras and files are scaled down to fit.",
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after so long.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Of the page; 0: any free one.",
)
@click.option("--background", default="#78ff9b", show_default=True, metavar="COLOUR|FILE")
@click.option(
    "--virtual-camera",
    "has_camera",
    is_flag=True,
    help="Also be a camera for other programs (pyvirtualcam).",
)
def main(
    servers: tuple[str, ...],
    source: str,
    device: str,
    size: Size,
    seconds: float | None,
    port: int,
    background: str,
    has_camera: bool,
) -> None:
    """Show a live source without its background."""
    # Shells start background jobs with Ctrl-C ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            behind = Background(background)
            frames = open_source(source, device, size)
            camera = virtual_camera(FPS) if has_camera else nullcontext(lambda _picture: None)
            send = stack.enter_context(camera)
            session = stack.enter_context(
                MattingSession(
                    servers,
                    live=True,
                    request_timeout_s=_REQUEST_TIMEOUT_S,
                    reconnect_s=_RECONNECT_S,
                )
            )
            live = Live(session, behind, send)
            page = stack.enter_context(Page(port, live.shown, live.stats))
            click.echo(f"{page.url} shows it; Ctrl-C ends it")
            stack.enter_context(Source(frames, live.slot))
            try:
                live.run(seconds)
            except KeyboardInterrupt:
                click.echo()
            click.echo(_summary(live.stats()))
    except KeyboardInterrupt:
        return
    except (RvmError, OSError) as exc:
        raise click.ClickException(str(exc)) from exc


def _summary(stats: dict[str, Any]) -> str:
    latency = stats["latency_ms"]
    return (
        f"{stats['captured']} frames captured, {stats['matted']} matted, "
        f"{stats['dropped']} dropped; latency p50 {latency['p50']} ms, p95 {latency['p95']} ms"
    )


if __name__ == "__main__":
    main(prog_name="python -m examples.live")
