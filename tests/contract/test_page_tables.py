"""The tables of the page know what the server's tables have."""

import re
from pathlib import Path

import pytest

from rvm_client.job import Job
from rvm_client.output_types import FileRole, OutputType

STATIC = Path(__file__).parents[2] / "client" / "rvm_client" / "web" / "static"
CHOICES = (STATIC / "choices.js").read_text()
TEXTS = (STATIC / "texts.js").read_text()
# What is no choice of a person: where a video comes from and where results go, the page knows
# itself; the others are said in another way.
NOT_CHOSEN = {"video_url", "output_type", "upload_url", "cloudinary_folder", "preview"}
# Boxes of people to leave out are drawn in no control yet.
NOT_CHOSEN |= {"exclude"}


@pytest.mark.parametrize("kind", OutputType, ids=lambda kind: kind.value)
def test_each_kind_of_file_has_its_place_and_its_texts(kind: OutputType) -> None:
    assert f'"{kind.value}"' in CHOICES
    assert re.search(rf"^    {kind.value}: \{{\s*label:", TEXTS, re.MULTILINE)


@pytest.mark.parametrize("role", sorted(set(FileRole) - {FileRole.OUTPUT}))
def test_each_file_beside_an_output_has_its_name(role: FileRole) -> None:
    roles = re.search(r"roles: \{([^}]*)\}", TEXTS)
    assert roles is not None
    assert re.search(rf"\b{role.value}:", roles[1])


@pytest.mark.parametrize("field", sorted(set(Job.model_fields) - NOT_CHOSEN))
def test_each_field_of_a_job_has_a_row(field: str) -> None:
    named = re.findall(r"name: \"(\w+)\"|names: \[([^\]]+)\]", CHOICES)
    names = {name for one, many in named for name in (one, *re.findall(r"\w+", many))}
    assert field in names


def test_the_page_loads_nothing_from_elsewhere() -> None:
    for path in STATIC.iterdir():
        if path.suffix in (".js", ".css", ".html"):
            found = re.findall(r"(?:src|href|import|url\()[^;\n]*https?://", path.read_text())
            assert found == [], path.name


def test_the_page_has_no_inline_script_or_style() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|style=|<script(?![^>]*src=)|\son\w+=", page)
