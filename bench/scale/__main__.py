"""`python -m bench.scale`: print the tables of docs/scale.md."""

from collections.abc import Callable

import click

from bench.report import Rows, table
from bench.scale.joining import measure_join
from bench.scale.overhead import measure_overhead
from bench.scale.tables import tables


@click.command()
@click.option("--videos", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--measure", is_flag=True, help="Measure what Ray and joining cost here instead.")
@click.argument("names", nargs=-1)
def main(videos: int, measure: bool, names: tuple[str, ...]) -> None:
    """Simulate, and print the tables whose titles have one of NAMES in them, else all."""
    if measure:
        for title, rows in {"Joining": measure_join(), **measure_overhead()}.items():
            _print(title, rows)
        return
    found: dict[str, Callable[[], Rows]] = tables(videos)
    for title, simulated in found.items():
        if not names or any(name.lower() in title.lower() for name in names):
            _print(title, simulated())


def _print(title: str, rows: Rows) -> None:
    click.echo(f"## {title}\n\n{table(rows)}\n")


if __name__ == "__main__":
    main()
