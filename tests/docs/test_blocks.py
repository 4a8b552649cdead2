"""Every fenced block is run, or checked, or says why not."""

import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from bench.__main__ import main as bench
from bench.gpu_check.__main__ import main as gpu_check
from bench.scale.__main__ import main as scale
from examples.live.__main__ import main as live
from ray.scripts.scripts import cli as ray
from tests.docs.conftest import PageRun
from tests.docs.pages import (
    DOCS,
    PAGES,
    ROOT,
    Block,
    blocks,
    checked_block,
    codes,
    jobs,
    prose,
    table,
    variables_and_command,
)

from rvm_client.batch import find_sources
from rvm_client.cli.flags import row_flags
from rvm_client.errors import UsageError
from rvm_client.job import parse_job
from rvm_client.web_video import WebVideo
from rvm_export.verify.goldens import INT8_CASES

BLOCKS = [block for page in PAGES for block in blocks(page)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
PAGES_TO_RUN = [page for page in PAGES if blocks(page, language="sh", mark=None)]
PYPROJECT = (ROOT / "pyproject.toml").read_text()
PROGRAMS = {
    name: getattr(importlib.import_module(module), function)
    for name, module, function in re.findall(r'^(rvm-\w+) = "([\w.]+):(\w+)"$', PYPROJECT, re.M)
}
WORKER = ["python", "-m", "rvm_client.worker"]
MODULES = {"examples.live": live, "bench.scale": scale}
# Of the system; what they get is not ours.
SYSTEM = {
    "apt-get", "cat", "cp", "curl", "ffmpeg", "head", "mkdir", "npm", "openssl", "pip", "python3",
    "source", "tail", "umask",
}  # fmt: skip


def place(block: Block) -> str:
    return block.place


def test_all_fences_are_found() -> None:
    for page in PAGES:
        assert page.read_text().count("```") == 2 * len(blocks(page)), page


@pytest.mark.parametrize("block", BLOCKS, ids=place)
def test_every_block_is_run_or_checked_or_says_why_not(block: Block) -> None:
    if block.mark is None:
        assert block.language in ("sh", "python"), "mark it as checked or as not run"
    elif block.mark == "checked":
        tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
        assert f"def {block.words}(" in tests
    else:
        assert len(block.words.split()) > 2, "give the reason"


# --- run


@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, run_page: Callable[[Path], PageRun]) -> None:
    done = run_page(page)
    assert done.status == 0, done.output
    assert "Traceback" not in done.output
    for block in blocks(page, language="sh", mark=None):
        for words in block.commands():
            if "-o" in words:
                assert (done.folder / words[words.index("-o") + 1]).stat().st_size > 0
    if "results" in done.output:
        assert [path for path in (done.folder / "results").rglob("*.webm") if path.stat().st_size]


@pytest.mark.parametrize("case", INT8_CASES, ids=lambda case: case.name)
def test_the_wire_contract_s_client(case: Any, real: Callable[[Block], str]) -> None:
    """The code of the page makes the golden mattes."""
    scope: dict[str, Any] = {}
    for block in blocks(DOCS / "wire-contract.md", language="python"):
        exec(real(block), scope)
    states, start, alphas = scope["start"], 0, []
    for length in case.chunks:
        src = case.src[np.newaxis, start : start + length]
        _, alpha, states = scope["matte"](src, states, case.downsample_ratio)
        alphas.append(alpha[0, ..., 0])
        start += length
    scope["client"].close()
    alpha = np.concatenate(alphas).astype(int)
    # One level: the reference rounds float32 results that differ in their last bits.
    np.testing.assert_allclose(alpha, case.pha.astype(int), rtol=0, atol=1)


# --- checked, whether they are run or not


def check_command(words: list[str]) -> None:
    """Programs, flags, variables and jobs are those of the code."""
    variables, command = variables_and_command(words)
    assert {*variables} <= known_variables()
    for job in jobs(command):
        parse_job(job)
    if not command:
        return
    program, arguments = command[0], command[1:]
    if program in PROGRAMS:
        parse_flags(PROGRAMS[program], arguments)
    elif command[: len(WORKER)] == WORKER or program == "scripts/start":
        check_worker(arguments)
    elif program == "docker":
        check_docker(arguments)
    elif program.startswith("scripts/"):
        assert os.access(ROOT / program, os.X_OK)
        check_script(program, arguments)
    elif program == "node":
        assert (ROOT / "examples" / "node" / arguments[0]).exists()
    elif command[:2] == ["python", "-m"] and command[2] in MODULES:
        parse_flags(MODULES[command[2]], arguments[2:])
    elif command[:2] == ["python", "-m"]:
        # It takes no flags.
        assert command[2].startswith("bench.")
        assert importlib.util.find_spec(command[2]) is not None
    elif program == "ray":
        parse_flags(ray, arguments)
    else:
        assert program in SYSTEM


def test_the_page_s_element_is_that_of_the_docs() -> None:
    text = checked_block("test_the_page_s_element_is_that_of_the_docs").text
    assert text.strip() == WebVideo("web.webm", "web.mov", "web.webp", 1280, 720).element


def known_variables() -> set[str]:
    rows = table(DOCS / "deploy.md", "variable", "meaning", "default")
    return {name for row in rows for name in codes(row[0])}


def parse_flags(program: click.Command, arguments: list[str]) -> None:
    """As the command would: it refuses what it does not know."""
    if isinstance(program, click.Group):
        name, *arguments = arguments
        command = program.get_command(click.Context(program), name)
        assert command is not None, name
        program = command
    program.make_context("docs", list(arguments))


def check_worker(arguments: list[str]) -> None:
    sdk = importlib.metadata.distribution("runpod").locate_file("runpod/serverless/__init__.py")
    known = re.findall(r'"(--\w+)"', Path(str(sdk)).read_text())
    assert {word for word in arguments if word.startswith("--")} <= {*known}


def check_docker(arguments: list[str]) -> None:
    given = dict(itertools.pairwise(arguments))
    if arguments[0] == "build":
        known = re.findall(r"^ARG (\w+)=", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert given.get("--build-arg", "WEIGHTS").partition("=")[0] in known
    elif arguments[0] == "run":
        assert given.get("-e", "CLOUDINARY_URL").partition("=")[0] in known_variables()
        starts = (i for i, word in enumerate(arguments) if word in ("python", *PROGRAMS))
        check_command(arguments[next(starts) :])
    else:
        assert arguments[0] == "push"


def check_script(program: str, arguments: list[str]) -> None:
    if program == "scripts/setup":
        metadata = importlib.metadata.metadata("rvm-triton")
        assert {*arguments} <= {*(metadata.get_all("Provides-Extra") or ())}
    elif program == "scripts/demo" and arguments:
        is_page = arguments[0] == "--web"
        parse_flags(PROGRAMS["rvm-web" if is_page else "rvm-matte"], arguments[is_page:])
    elif program == "scripts/bench":
        parse_flags(bench, arguments)
    elif program == "scripts/gpu-check":
        # The script itself takes the folder.
        parse_flags(gpu_check, arguments[2:] if arguments[:1] == ["--wheels"] else arguments)
    elif program == "scripts/image":
        assert set(arguments) <= {"--check"}
    elif program == "scripts/test":
        assert all((ROOT / path).exists() for path in arguments)


@pytest.mark.parametrize("block", SHELL, ids=place)
def test_commands_say_what_the_code_takes(
    block: Block, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(samples)
    for words in block.commands():
        check_command(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_sentences_say_what_the_code_takes(
    page: Path, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(samples)
    for code in codes(prose(page)):
        program, _, arguments = code.partition(" ")
        if arguments and (program in PROGRAMS or program.startswith("scripts/")):
            check_command(shlex.split(code))
    assert {*re.findall(r"\bRVM_\w+\b", page.read_text())} <= known_variables()


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("rvm-matte my_video.mp4 -o a.webm --no-sound", click.NoSuchOption),
        ("rvm-export export --precision int8", click.BadParameter),
        ("""curl -d '{"input": {"video_uri": "https://example.com/a.mp4"}}'""", UsageError),
        ("RVM_GRPC_PROT=1 scripts/start", AssertionError),
        ("scripts/start --serve_api", AssertionError),
        ("scripts/setup everything", AssertionError),
        ("scripts/gpu-check --device tpu", click.BadParameter),
        ("docker build --build-arg WIGHTS=int8 .", AssertionError),
        ("docker run -e CLOUDINARY_URI image python -m rvm_client.worker", AssertionError),
        ("rvm-mate my_video.mp4", AssertionError),
        ("python -m examples.live --sauce camera", click.NoSuchOption),
        ("ray start --heed", click.NoSuchOption),
    ],
)
def test_what_the_code_does_not_take_is_found(command: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_command(shlex.split(command))


def test_jobs_are_accepted() -> None:
    block = checked_block("test_jobs_are_accepted")
    (job,) = jobs([block.text])
    assert parse_job(job).preview


def test_the_job_of_refinements_is_accepted() -> None:
    (job,) = jobs([checked_block("test_the_job_of_refinements_is_accepted").text])
    refinements = parse_job(job).matte_options(Path()).refinements
    assert refinements.subject.text == "largest+box:0.1,0,0.6,1@0;0.3,0,0.8,1@2.5"
    assert refinements.subject.exclude
    assert refinements.edges.despill


def test_a_job_with_a_bucket_is_accepted() -> None:
    job = json.loads(checked_block("test_a_job_with_a_bucket_is_accepted").text)
    bucket = parse_job(job["input"], job["s3Config"]).s3_config
    assert bucket is not None
    assert bucket.bucket_name == "my-bucket"
    policy = {f"policy.{name}" for name in job.pop("policy")}
    rows = table(DOCS / "job.md", "request field", "meaning")
    assert {name for row in rows for name in codes(row[0])} == (job.keys() | policy) - {"input"}


def test_the_rows_of_a_list_are_accepted(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(samples)
    block = checked_block("test_the_rows_of_a_list_are_accepted")
    Path("list.csv").write_text(block.text)
    listed = find_sources(["list.csv"])
    assert [source.source for source in listed] == ["my_video.mp4", "other.mp4"]
    assert all(row_flags(source.row) for source in listed)
    Path("list.csv").unlink()


def test_the_diagram_shows_the_stages_in_order() -> None:
    text = checked_block("test_the_diagram_shows_the_stages_in_order").text
    contract = PYPROJECT.partition('name = "No stage reaches another"')
    stages = re.findall(r'"rvm_client\.(\w+)"', contract[2].partition("]")[0])
    assert len(stages) == 7
    positions = [text.index(stage) for stage in stages]
    assert positions == sorted(positions)
    assert {*PROGRAMS} >= {*re.findall(r"rvm-\w+", text)}
