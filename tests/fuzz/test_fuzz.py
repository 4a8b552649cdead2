"""The fuzzer as `scripts/fuzz` starts it, and that it finds what it looks for."""

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from tests.fuzz.cases import Outcome, Verdict, try_file
from tests.fuzz.pool import try_all
from tests.fuzz.worker import Case
from tests.support.clips import index_frame, write_clip

ROOT = Path(__file__).parents[2]


def test_no_damaged_file_does_harm(tmp_path: Path) -> None:
    """The same 300 files each time; `scripts/fuzz --files` has more."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--files", "300", "-o", str(tmp_path / "bad")],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.match(r"300 files \((\d+) in whole runs\): (\d+) decoded, (\d+) refused", run.stdout)
    assert found is not None, run.stdout
    runs, decoded, refused = map(int, found.groups())
    # Mutations that break everything, or nothing, would show nothing.
    assert runs >= 3
    assert min(decoded, refused) >= 60
    assert list(tmp_path.iterdir()) == []


def test_a_crash_and_a_hang_are_counted_and_do_not_stop_the_others(tmp_path: Path) -> None:
    """A file that is gone ends the worker; a pipe that nobody writes into holds it."""
    clip = str(write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(12)]))
    os.mkfifo(tmp_path / "pipe.mp4")
    cases = [
        Case(number, 1, str(seed_file), clip, None, 1 << 30)
        for number, seed_file in enumerate(
            (clip, tmp_path / "gone.mp4", tmp_path / "pipe.mp4", clip)
        )
    ]
    ended: dict[int, Verdict] = {}

    def note(case: Case, outcome: Outcome) -> None:
        ended[case.number] = outcome.verdict

    try_all(cases, note, workers=1, timeout_s=15)
    assert [ended[1], ended[2]] == [Verdict.SIGNAL, Verdict.HANG]
    assert ended[0].is_good
    assert ended[3].is_good


@pytest.mark.parametrize(
    ("max_bytes", "verdict"), [(1 << 20, Verdict.MEMORY), (1 << 32, Verdict.DECODED)]
)
def test_memory_beyond_the_bound_is_counted(
    tmp_path: Path, max_bytes: int, verdict: Verdict
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(12)])
    outcome = try_file(clip, tmp_path / "work", Random(1), None, max_bytes)
    assert outcome.verdict is verdict, outcome.words
