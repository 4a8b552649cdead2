"""`python -m bench`: measure, print the tables, write them with the figures as JSON and a plot."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from bench.command import measure_command
from bench.conditions import conditions
from bench.encoders import measure_encoders
from bench.isolation import measure_isolation
from bench.keying import measure_keying
from bench.live import measure_live_streams, measure_overhead
from bench.network import measure_network, measure_threads, measure_variants
from bench.output_types import measure_output_types
from bench.refinements import measure_refinements
from bench.report import Rows, bars, markdown
from bench.serving import (
    measure_first_request,
    measure_serving,
    measure_streams,
    start_server,
)
from bench.settings import BenchSettings
from bench.stages import measure_stages
from bench.worker import measure_cold_start, measure_jobs
from rvm_client.config import load_settings
from rvm_client.machine import available_cores
from rvm_client.server import ServerOptions

_NETWORK = "The network alone, ms a frame"


@click.command()
@click.option("--quick", is_flag=True, help="1080p only, few repetitions: about six minutes.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--only", multiple=True, help="Part of a section's title; may be repeated.")
@click.argument("names", nargs=-1)
@click.option(
    "--clip",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A video for the encoders and types of output.  [default: the golden portrait, panned]",
)
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=Path("out/bench")
)
def main(
    quick: bool,
    device: str,
    only: tuple[str, ...],
    names: tuple[str, ...],
    clip: Path | None,
    output: Path,
) -> None:
    """Measure what NAMES are part of the title of, else everything.

    The tables go to OUTPUT/bench.md, .json and .svg.
    """
    only += names
    repository = ServerOptions.configured(load_settings()).model_repository
    settings = BenchSettings(repository, quick, device, available_cores(), clip)
    sections: dict[str, Rows] = {}
    machine = conditions(settings)
    with tempfile.TemporaryDirectory(prefix="rvm-bench-") as name:
        for title, measure in parts(settings, Path(name)).items():
            if not only or any(part.lower() in title.lower() for part in only):
                click.echo(f"Measuring: {title}", err=True)
                sections[title] = measure()
                # After each: a long run that is stopped keeps what it has.
                write(output, sections, machine)
    click.echo((output / "bench.md").read_text("utf-8"))


def parts(settings: BenchSettings, folder: Path) -> dict[str, Callable[[], Rows]]:
    """What can be measured, in the order of the report."""

    def served(measure: Callable[..., Rows], *arguments: object) -> Callable[[], Rows]:
        def run() -> Rows:
            server = start_server(settings)
            try:
                return measure(settings, *arguments, server)
            finally:
                server.stop()

        return run

    return {
        _NETWORK: lambda: measure_network(settings, folder),
        "The variants of the network, ms a frame": lambda: measure_variants(settings, folder),
        "In process, by threads": lambda: measure_threads(settings, folder),
        "Through Triton, ms a frame": served(measure_serving, folder),
        "Streams through Triton": served(measure_streams),
        "Live: what a session adds": served(measure_overhead),
        "Live streams on one server": served(measure_live_streams),
        "Stages and the whole, ms a frame": served(measure_stages, folder),
        "Decoding in a process of its own": served(measure_isolation, folder),
        "Types of output": served(measure_output_types, folder),
        "Refinements, ms a frame": lambda: measure_refinements(settings),
        "Green screen, ms a frame": lambda: measure_keying(settings),
        "Encoders": served(measure_encoders, folder),
        "The command": lambda: measure_command(settings, folder),
        "First request": lambda: measure_first_request(settings),
        "Cold start": lambda: measure_cold_start(settings, folder),
        "Jobs at once": served(measure_jobs, folder),
    }


def write(output: Path, sections: dict[str, Rows], machine: dict[str, str]) -> None:
    """The three files."""
    output.mkdir(parents=True, exist_ok=True)
    text = markdown(sections, machine)
    (output / "bench.md").write_text(text, "utf-8")
    result = {"machine": machine, "sections": sections}
    (output / "bench.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    if rows := sections.get(_NETWORK):
        medians = {name: float(row["median_ms"] or 0) for name, row in rows.items()}
        (output / "bench.svg").write_text(bars(_NETWORK, medians, "ms"), "utf-8")


if __name__ == "__main__":
    main()
