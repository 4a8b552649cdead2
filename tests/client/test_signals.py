"""Signals that stop a program, each in a process of its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Dataclasses and named tuples are made by an exec of source text, so that a signal at an import
# may come in one.
_STOPPED_IN_EXEC = """
import os, sys
from rvm_client.signals import stop_on_signals
stop_on_signals()
try:
    exec(f"os.kill(os.getpid(), {sys.argv[1]}); [None for _ in range(10)]")
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_was_caught_leaves_the_exit_status_alone(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(_STOPPED_IN_EXEC)
    command = [sys.executable, "-m", "program", str(int(number))]
    assert subprocess.run(command, cwd=tmp_path).returncode == 7


_HELD = """
import os, signal
from rvm_client.signals import Signalled, signals_held, stop_on_signals
stop_on_signals()
done = False
try:
    with signals_held():
        os.kill(os.getpid(), signal.SIGTERM)
        done = True
    print("not raised")
except Signalled as exc:
    print(exc.number, done)
try:
    os.kill(os.getpid(), signal.SIGINT)
except Signalled as exc:
    print(exc.number)
"""


def test_a_signal_waits_for_the_end_of_a_block() -> None:
    run = subprocess.run([sys.executable, "-c", _HELD], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(int(signal.SIGTERM)), "True", str(int(signal.SIGINT))]
