"""Several videos at once on one server: in threads, then in asyncio.

    python examples/many_sessions.py --sessions 4 --frames 60 --server 127.0.0.1:8001

Each video has a session of its own. The server takes their requests in turn.
"""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import click
import numpy as np
import numpy.typing as npt

from rvm_client import AsyncMattingSession, MattingSession, RvmError

WIDTH, HEIGHT = 320, 180


def frames(count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Colours that move, [H,W,3]; a program of yours has a decoder or a camera here."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for i in range(count):
        yield np.stack((rows + i, columns + 2 * i, rows + columns), axis=-1).astype(np.uint8)


def in_a_thread(server: str, count: int) -> float:
    """Matte one video. Returns its frames a second."""
    started = time.monotonic()
    with MattingSession(server) as session:
        done = sum(1 for _ in session.matte(frames(count)))
    return done / (time.monotonic() - started)


async def in_a_task(server: str, count: int) -> float:
    """The same, in asyncio."""
    started, done = time.monotonic(), 0
    async with AsyncMattingSession(server) as session:
        async for _foreground, _alpha in session.matte(frames(count)):
            done += 1
    return done / (time.monotonic() - started)


async def all_tasks(server: str, sessions: int, count: int) -> list[float]:
    """All videos in one event loop."""
    return await asyncio.gather(*(in_a_task(server, count) for _ in range(sessions)))


@click.command()
@click.option("--sessions", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--frames", "count", type=click.IntRange(1), default=60, show_default=True)
@click.option("--server", default="127.0.0.1:8001", show_default=True, metavar="HOST:PORT")
def main(sessions: int, count: int, server: str) -> None:
    """Matte several videos at once."""
    try:
        with ThreadPoolExecutor(sessions) as threads:
            show("thread", list(threads.map(in_a_thread, [server] * sessions, [count] * sessions)))
        show("task", asyncio.run(all_tasks(server, sessions, count)))
    except RvmError as exc:
        raise click.ClickException(str(exc)) from exc


def show(kind: str, rates: list[float]) -> None:
    """Print the frames a second of each."""
    for number, rate in enumerate(rates, start=1):
        click.echo(f"{kind} {number}: {rate:.1f} frames/s")


if __name__ == "__main__":
    main()
