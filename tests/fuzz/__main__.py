"""`python -m tests.fuzz`: damaged files and random jobs, and one line of what came of them.

Each case follows from the seed and its number, so that the same command tries the same files.
"""

import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from random import Random

import click
from tests.fuzz.cases import Outcome, Verdict
from tests.fuzz.jobs import try_jobs
from tests.fuzz.pool import try_all
from tests.fuzz.seeds import make_clips, make_pictures
from tests.fuzz.worker import Case
from tests.support.echo_model import write_repository

from rvm_client.machine import available_cores
from rvm_client.server import ServerOptions, TritonServer

_SHARE_OF_PICTURES = 0.15
# Of the videos, those that go through a server.
_SHARE_OF_RUNS = 0.04
_JOBS_PER_FILE = 2


@click.command()
@click.option("--files", default=300, show_default=True, help="Damaged files to try.")
@click.option("--seed", default=1, show_default=True, help="Another one, other files.")
@click.option("--case", "only", type=int, help="Try this one only.")
@click.option("--workers", type=int, default=available_cores, help="Processes that try files.")
@click.option(
    "--timeout-s", default=60.0, show_default=True, help="A file that takes longer hangs."
)
@click.option("--max-mb", default=700, show_default=True, help="Memory that a process may take.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out/fuzz"),
    show_default=True,
    help="Where the files go that ended badly.",
)
def main(
    files: int,
    seed: int,
    only: int | None,
    workers: int,
    timeout_s: float,
    max_mb: int,
    output: Path,
) -> None:
    """Try FILES damaged files; exit 1 if one of them ends badly."""
    # The encoder of AV1 talks.
    os.environ.setdefault("SVT_LOG", "0")
    started_s = time.monotonic()
    report = Report(output)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rvm-fuzz-")))
        url = stack.enter_context(_server(folder)).grpc_url
        cases = _cases(folder, files, seed, url, max_mb << 20)
        chosen = cases if only is None else [cases[only]]
        try_all(chosen, report.add, min(workers, len(chosen)), timeout_s)
    jobs = _JOBS_PER_FILE * files if only is None else 0
    report.add_jobs(jobs, try_jobs(jobs, seed))
    print(f"{report.line()}; seed {seed}, {time.monotonic() - started_s:.0f} s")
    sys.exit(0 if report.is_good else 1)


def _server(folder: Path) -> TritonServer:
    options = ServerOptions(
        write_repository(folder / "repository"),
        cache_dir=folder / "cache",
        threads=1,
        exit_timeout_s=0,
    )
    return TritonServer.start(options)


def _cases(folder: Path, files: int, seed: int, url: str, max_bytes: int) -> list[Case]:
    clips, pictures = make_clips(folder), make_pictures(folder)
    random = Random(seed)
    cases = []
    for number in range(files):
        kind = pictures if random.random() < _SHARE_OF_PICTURES else clips
        original, other = random.choice(kind), random.choice(clips + pictures)
        in_a_run = kind is clips and random.random() < _SHARE_OF_RUNS
        cases.append(
            Case(number, seed, str(original), str(other), url if in_a_run else None, max_bytes)
        )
    return cases


class Report:
    """Counts how files ended, and keeps those that ended badly."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._verdicts: Counter[Verdict] = Counter()
        self._peak_bytes = 0
        self._runs = 0
        self._jobs, self._bad_jobs = 0, 0

    def add(self, case: Case, outcome: Outcome) -> None:
        """One file."""
        self._verdicts[outcome.verdict] += 1
        self._runs += case.triton_url is not None
        self._peak_bytes = max(self._peak_bytes, outcome.peak_bytes)
        if not outcome.verdict.is_good:
            self._keep(case, outcome)

    def _keep(self, case: Case, outcome: Outcome) -> None:
        name = f"{case.seed}-{case.number}-{outcome.verdict.value}-{Path(case.seed_file).name}"
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / name).write_bytes(case.content())
        (self._folder / f"{name}.txt").write_text(f"{outcome.words}\n")
        last_line = outcome.words.strip().splitlines()[-1:] or [""]
        print(f"{self._folder / name}: {last_line[0]}", file=sys.stderr, flush=True)

    def add_jobs(self, count: int, failures: list[str]) -> None:
        """Random jobs."""
        self._jobs, self._bad_jobs = count, len(failures)
        for failure in failures:
            print(f"job: {failure}", file=sys.stderr)

    @property
    def is_good(self) -> bool:
        """Whether nothing ended badly."""
        return not self._bad_jobs and all(verdict.is_good for verdict in self._verdicts)

    def line(self) -> str:
        """All figures."""
        verdicts = ", ".join(f"{self._verdicts[verdict]} {verdict.value}" for verdict in Verdict)
        return (
            f"{self._verdicts.total()} files ({self._runs} in whole runs): {verdicts}; "
            f"at most {self._peak_bytes >> 20} MiB; {self._jobs} jobs, {self._bad_jobs} uncaught"
        )


if __name__ == "__main__":
    main()
