"""The soak as `scripts/soak` starts it, for some seconds, and that it sees a wrong result."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.soak import clients
from tests.support.clips import index_frame, write_clip

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_no_job_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.soak", "--minutes", "0.2", "--pause-s", "8"]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.search(r"(\d+) jobs done, \d+ of them posted again, (\d+) faults", run.stdout)
    assert found is not None, run.stdout
    assert int(found[1]) >= 6
    assert int(found[2]) >= 1


def test_a_file_that_lacks_frames_is_wrong(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "short.mp4", [index_frame(i) for i in range(3)])
    result = {"output": {"output_url": clip.as_uri()}}
    assert clients._problem(result, {}) == "wrong: {} gave 3 frames"
