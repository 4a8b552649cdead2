"""`python -m bench.gpu_check`: check everything, print one table, write it as JSON."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from bench.conditions import conditions
from bench.gpu_check.correctness import golden_checks, model_checks, server_checks
from bench.gpu_check.jobs import job_checks
from bench.gpu_check.lines import Check, Line, Verdict, run, table
from bench.gpu_check.speed import network_checks, stream_checks, transfer_checks
from bench.gpu_check.subject import CheckSettings, Subject
from rvm_client.machine import available_cores
from rvm_export.errors import UsageError
from rvm_export.export import check_device

_PARTS = (
    model_checks,
    server_checks,
    golden_checks,
    network_checks,
    transfer_checks,
    job_checks,
    stream_checks,
)


@click.command()
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--quick", is_flag=True, help="Few and small pictures: a rehearsal.")
@click.option("--only", multiple=True, help="Part of a line's title; may be repeated.")
@click.option(
    "--repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Models of the int8 release to check.  [default: exported into OUTPUT]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out/gpu-check"),
    show_default=True,
)
def main(
    device: str, quick: bool, only: tuple[str, ...], repository: Path | None, output: Path
) -> None:
    """Check a GPU; the table goes to the standard output, and to OUTPUT/gpu-check.json.

    The status is 1 if a line fails.
    """
    try:
        check_device(device)
    except UsageError as exc:
        click.echo(f"error: {exc}", err=True)
        sys.exit(exc.exit_code)
    settings = CheckSettings(
        # What is exported replaces what is there, so it is no name that a repository of others has.
        (repository or output / "checked_models").resolve(),
        quick,
        device,
        available_cores(),
        is_given=repository is not None,
    )
    machine = conditions(settings)
    lines = []
    with (
        tempfile.TemporaryDirectory(prefix="rvm-gpu-check-") as name,
        Subject(settings, Path(name)) as subject,
    ):
        for line in run(chosen(subject, only), subject.close):
            lines.append(line)
            # After each: a check that is stopped keeps what it has.
            write(output, lines, machine)
    if not lines:
        raise click.UsageError(f"no line's title has {' or '.join(only)} in it")
    for key, value in machine.items():
        click.echo(f"- {key}: {value}")
    click.echo(f"\n{table(lines)}")
    sys.exit(has_failed(lines))


def chosen(subject: Subject, only: tuple[str, ...]) -> Iterator[tuple[str, Check]]:
    """The checks that are wanted, in the order of the table."""
    for part in _PARTS:
        for title, check in part(subject):
            if not only or any(words in title for words in only):
                yield title, check


def has_failed(lines: list[Line]) -> bool:
    """Whether any line did."""
    return any(line.outcome.verdict is Verdict.FAIL for line in lines)


def write(output: Path, lines: list[Line], machine: dict[str, str]) -> None:
    """The JSON file."""
    output.mkdir(parents=True, exist_ok=True)
    result = {
        "machine": machine,
        "passed": not has_failed(lines),
        "lines": [line.as_dict() for line in lines],
    }
    (output / "gpu-check.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
