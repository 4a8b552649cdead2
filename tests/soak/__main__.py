"""`python -m tests.soak`: jobs and faults side by side, and one line of what came of them."""

import tempfile
import time
from pathlib import Path

import click
from tests.soak.clients import Clients, make_clips
from tests.soak.endpoint import Endpoint, Holdings
from tests.soak.faults import Faults
from tests.support.clip_server import ClipServer
from tests.support.echo_model import write_repository


@click.command()
@click.option("--minutes", default=30.0, show_default=True, help="How long.")
@click.option("--seed", default=1, show_default=True, help="Another one, other jobs and faults.")
@click.option("--clients", default=2, show_default=True, help="Who post a job each, all the time.")
@click.option("--pause-s", default=10.0, show_default=True, help="Between two faults, on average.")
def main(minutes: float, seed: int, clients: int, pause_s: float) -> None:
    """Kill and stop the processes of a worker at work; exit 1 if a result is lost or wrong."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        clips = make_clips(folder / "clips")
        repository = write_repository(folder / "repository")
        with ClipServer(clips) as files, Endpoint(folder, repository) as endpoint:
            posting = Clients(endpoint, files, seed)
            posting.do(3)
            before = endpoint.holdings()
            faults = Faults(endpoint, seed, pause_s)
            end_s = time.monotonic() + 60 * minutes
            with faults:
                posting.do_until(end_s, clients)
            posting.do(3)
            after = endpoint.holdings()
        left = endpoint.left_behind()
    click.echo(summary(minutes, posting, faults, before, after))
    for sentence in [*posting.complaints, *left]:
        click.echo(sentence, err=True)
    raise SystemExit(1 if posting.complaints or left else 0)


def summary(
    minutes: float, posting: Clients, faults: Faults, before: Holdings, after: Holdings
) -> str:
    """One line of figures."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(faults.counts.items()))
    return (
        f"{minutes:g} min: {posting.done} jobs done, {posting.again} of them posted again, "
        f"{sum(faults.counts.values())} faults ({kinds}), {len(posting.complaints)} lost or wrong; "
        f"before and after: {before} and {after}"
    )


if __name__ == "__main__":
    main()
