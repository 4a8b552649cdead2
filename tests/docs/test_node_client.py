"""What examples/node/README.md shows, done."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.docs.pages import Block, checked_block
from tests.support.node import copy_example, node_program

Run = Callable[[list[str]], str]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_example(tmp_path_factory.mktemp("examples") / "node")


@pytest.fixture(scope="module")
def run(example: Path) -> Run:
    def run(command: list[str]) -> str:
        done = subprocess.run(command, cwd=example, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


def test_the_commands_of_the_node_client(
    run: Run, example: Path, real: Callable[[Block], str]
) -> None:
    assert node_program()
    script = real(checked_block("test_the_commands_of_the_node_client"))
    run(["bash", "-euo", "pipefail", "-c", script])
    assert (example / "alpha.gray").stat().st_size == 64 * 48 * 8
    assert (example / "pixels.rgba").read_bytes()[3::4] == (example / "alpha.gray").read_bytes()


def test_the_code_of_the_node_client(run: Run, real: Callable[[Block], str]) -> None:
    """It prints what its comment says."""
    code = real(checked_block("test_the_code_of_the_node_client"))
    (shown,) = [line.rpartition("// ")[2] for line in code.splitlines() if "console.log" in line]
    assert run([node_program(), "--input-type=module", "--eval", code]) == f"{shown}\n"
