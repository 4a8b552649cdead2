"""Tables of settings, fields, flags and figures say what the code says."""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from tests.docs.conftest import PageRun
from tests.docs.pages import DOCS, ROOT, checked_block, codes, table

from rvm_client import errors
from rvm_client.batch import Status
from rvm_client.cli.batch import batch
from rvm_client.cli.flags import batch_flags, row_flags
from rvm_client.cli.matte import matte
from rvm_client.cli.serve import main as serve
from rvm_client.cli.web import web
from rvm_client.config import Settings
from rvm_client.errors import RvmError, UsageError
from rvm_client.job import Job, parse_job
from rvm_client.output_types import OutputType
from rvm_export.cli import main as rvm_export
from rvm_export.cli.diff import diff
from rvm_export.cli.evaluate import evaluate, make_dataset
from rvm_export.cli.make import export

DEPLOY, JOB, COMMAND = (DOCS / f"{name}.md" for name in ("deploy", "job", "command"))
# Read by RunPod and by the scripts.
NOT_SETTINGS = {"RUNPOD_INIT_TIMEOUT", "RVM_VENV"}
URL = "https://example.com/my_video.mp4"
# Cells that are no number.
OF_WORDS = {
    "output_type": "alpha",
    "background": "red",
    "downsample_ratio": "auto",
    "model": "resnet50",
    "source_type": "auto",
}
# Fields of a job's output that are there only in some cases.
SOMETIMES = {"matte_url", "preview_url", "output_format", "note", "warnings"}
# With a type of output that makes several files.
SOMETIMES |= {"hevc_url", "poster_url", "html"}


def defaults(rows: list[list[str]], pattern: str) -> dict[str, str]:
    """The last cell of each row for the names in its first: one for each, or one for all."""
    found: dict[str, str] = {}
    for row in rows:
        names, values = re.findall(pattern, row[0]), row[-1].split(", ")
        if len(names) != len(values):
            values = [row[-1]] * len(names)
        found.update(zip(names, values, strict=True))
    return found


def says(documented: str, default: object) -> bool:
    """Whether a cell's text names a default of the code."""
    if default is None:
        return documented.partition(":")[0] == "none"
    if isinstance(default, bool):
        return documented == str(default).lower()
    if isinstance(default, int | float):
        return float(documented) == default
    return documented.strip("`") == str(default)


# --- deploy.md


def test_settings() -> None:
    documented = defaults(table(DEPLOY, "variable", "meaning", "default"), r"`([A-Z_]+)`")
    fields = {str(field.validation_alias): field for field in Settings.model_fields.values()}
    assert documented.keys() - NOT_SETTINGS == fields.keys()
    for name, field in fields.items():
        # What is made anew each time, such as the cache's folder, is described in words.
        if field.default_factory is None:
            assert says(documented[name], field.default), name


def test_what_the_image_sets() -> None:
    documented = defaults(table(DEPLOY, "variable", "meaning", "default"), r"`([A-Z_]+)`")
    value = documented["RUNPOD_INIT_TIMEOUT"].removesuffix(" in the image")
    assert f"RUNPOD_INIT_TIMEOUT={value}" in (ROOT / "Dockerfile").read_text()


def test_build_arguments() -> None:
    """Those of the image and of the model; which versions are used is the Dockerfile's matter."""
    known = re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    ours = {name for name in known if not name.endswith(("_IMAGE", "TORCH_VERSION"))}
    text = DEPLOY.read_text()
    assert ours == {name for name in known if re.search(rf"(--build-arg |`){name}\b", text)}


# --- job.md


def test_job_fields() -> None:
    rows = table(JOB, "field", "required", "meaning")
    documented = {name: row for row in rows for name in codes(row[0])}
    assert documented.keys() == Job.model_fields.keys()
    for name, field in Job.model_fields.items():
        assert (documented[name][1] == "yes") == field.is_required(), name


def test_output_types_of_a_job() -> None:
    (row,) = [row for row in table(JOB, "field", "required") if row[0] == "`output_type`"]
    names = [name for name in codes(row[2]) if name != "matte_url"]
    accepted = {parse_job({"video_url": URL, "output_type": n}).output_type for n in names}
    assert accepted == {*OutputType}


@pytest.mark.parametrize(
    ("fields", "pattern"),
    [
        ({"crf": 0}, r"crf.* must be (10 to 40)"),
        ({"crf": 0, "output_type": "webm"}, r"crf.* must be 10 to (50)"),
        ({"bitrate": 0}, r"bitrate.* must be (\d+ to \d+)"),
        ({"max_width": 0}, r"max_width.* must be (\d+ to \d+)"),
    ],
)
def test_bounds_of_fields(fields: dict[str, Any], pattern: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_job({"video_url": URL, **fields})
    found = re.search(pattern, str(refused.value))
    assert found is not None
    name = next(iter(fields))
    (row,) = [row for row in table(JOB, "field", "required") if name in codes(row[0])]
    assert found[1] in row[2]


@pytest.mark.parametrize("row", table(JOB, "input", "error"), ids=lambda row: row[1])
def test_errors_of_fields(row: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        parse_job(json.loads(row[0].strip("`")))
    assert str(refused.value) == row[1].strip("`")


def test_a_job_s_output_has_the_fields_of_the_page(run_page: Callable[[Path], PageRun]) -> None:
    """The output of the job that deploy.md shows, the page's example, and its table."""
    (line,) = [x for x in run_page(DEPLOY).output.splitlines() if "Job result: " in x]
    output = ast.literal_eval(line.partition("Job result: ")[2])["output"]
    example = json.loads(checked_block("test_a_job_s_output_has_the_fields_of_the_page").text)
    assert example.keys() == output.keys()
    assert example["seconds"].keys() == output["seconds"].keys()
    rows = table(JOB, "field", "meaning")
    documented = {name for row in rows for name in codes(row[0])}
    assert documented - SOMETIMES == output.keys() - SOMETIMES


# --- command.md


@pytest.mark.parametrize(
    ("header", "command"),
    [
        (("option", "meaning"), matte),
        (("option", "meaning", "default"), serve),
        (("option of `export`", "meaning", "default"), export),
        (("option of `diff`", "meaning", "default"), diff),
        (("option of `evaluate`", "meaning", "default"), evaluate),
        (("option of `make-dataset`", "meaning", "default"), make_dataset),
    ],
    ids=lambda value: getattr(value, "name", "command"),
)
def test_options(header: tuple[str, ...], command: click.Command) -> None:
    rows = [row for row in table(COMMAND, *header) if len(row) == len(header)]
    documented = defaults(rows, r"(?<![\w-])--[a-z][\w-]*")
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert documented.keys() <= {
        flag for option in options for flag in (*option.opts, *option.secondary_opts)
    }
    for option in options:
        flags = {*option.opts, *option.secondary_opts} & documented.keys()
        assert flags or "--version" in option.opts, option.opts
        if len(header) == 3 and option.show_default and flags:
            assert says(documented[flags.pop()], option.default)


def test_options_of_batch() -> None:
    """The page has those that `rvm-matte` lacks, and those that mean something else here."""
    rows = table(DOCS / "batch.md", "option of `rvm-batch`", "meaning")
    documented = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", " ".join(row[0] for row in rows)))
    own, known = ({flag for o in command.params for flag in o.opts} for command in (batch, matte))
    assert documented == {
        *(flag for flag in own - known if flag.startswith("--")),
        *("--output", "--output-type", "--preview", "--json"),
    }
    assert {flag for flag in known - own if flag.startswith("--")} == {"--contact-sheet"}


def test_options_of_web() -> None:
    rows = table(DOCS / "page.md", "option of `rvm-web`", "meaning", "default")
    documented = defaults(rows, r"--[a-z-]+")
    assert documented.keys() == {
        flag for option in web.params for flag in option.opts if flag != "--version"
    }
    for flag, name in [
        ("--host", "web_host"),
        ("--port", "web_port"),
        ("--keep-seconds", "web_keep_seconds"),
        ("--password-file", "web_password"),
    ]:
        assert says(documented[flag], Settings.model_fields[name].default), flag


def test_columns_of_a_list() -> None:
    text = " ".join((DOCS / "batch.md").read_text().split())
    sentence = text.partition("all other columns are options of the row: ")[2].partition(".")[0]
    flags = click.command(batch_flags(lambda: None)).params
    documented = codes(sentence)
    assert len(row_flags(dict.fromkeys(documented, "1") | OF_WORDS)) == len(flags)


def test_statuses_of_a_batch_line() -> None:
    rows = {row[0]: row[1] for row in table(DOCS / "batch.md", "field", "meaning")}
    assert codes(rows["`status`"]) == [status.value for status in Status]


@pytest.mark.parametrize("name", ["package", "import", "push", "pull", "retire", "prune"])
def test_options_of_the_commands_for_versions(name: str) -> None:
    rows = table(COMMAND, "option", "of", "meaning", "default")
    documented = {
        f for row in rows if name in codes(row[1]) for f in defaults([row], r"--[a-z-]+\d*")
    }
    command = rvm_export.get_command(click.Context(rvm_export), name)
    assert command is not None
    options = [o for o in command.params if isinstance(o, click.Option)]
    assert documented == {f for option in options for f in option.opts if f.startswith("--")}
    assert any(row[0].startswith(f"`{name}") for row in table(COMMAND, "command", "what it does"))


def test_output_types_of_the_command() -> None:
    rows = table(COMMAND, "output type", "file")
    assert [codes(row[0]) for row in rows] == [[output_type.value] for output_type in OutputType]


def test_output_types_of_the_readme() -> None:
    rows = table(ROOT / "README.md", "output type", "plays in")
    assert [codes(row[0])[:1] for row in rows] == [
        [output_type.value] for output_type in OutputType
    ]


def test_exit_statuses() -> None:
    own = [error for error in vars(errors).values() if isinstance(error, type)]
    statuses = {error.exit_code for error in own if issubclass(error, RvmError)}
    documented = {int(row[0]) for row in table(COMMAND, "status", "what is wrong")}
    assert documented == statuses - {RvmError.exit_code}


# --- performance.md, fidelity.md and reliability.md


@pytest.mark.parametrize("row", table(DOCS / "performance.md", "", "720p"), ids=lambda row: row[0])
def test_figures_are_those_of_the_laboratory(row: list[str]) -> None:
    notes = re.findall(r"[\d.]+", (DOCS / "lab" / "performance.md").read_text())
    figures = re.findall(r"[\d.]+", " ".join(row[1:]))
    assert figures
    assert {*figures} <= {*notes}


def named_tests(page: Path) -> list[tuple[str, str]]:
    """File and part of a test's name, as the third column of each table gives them."""
    named = []
    default = ""
    for line in page.read_text().splitlines():
        cells = line.strip("|").split(" | ")
        if len(cells) < 3:
            continue
        if "test" in cells[2] and cells[0].strip() in ("property", "fault"):
            default = "".join(codes(cells[2])[:1])
            continue
        for code in codes(cells[2]):
            file, _, name = code.partition(": ")
            named.append((file, name) if "/" in file or name else (default, code))
    return named


@pytest.mark.parametrize(
    ("file", "name"), named_tests(DOCS / "fidelity.md") + named_tests(DOCS / "reliability.md")
)
def test_the_tests_that_pages_name(file: str, name: str) -> None:
    path = ROOT / file if file.startswith("tests/") else ROOT / "tests" / "client" / file
    assert path.exists()
    if name:
        assert re.search(rf"def test_\w*{name}", path.read_text())
