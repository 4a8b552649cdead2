"""What may be asked for of a matte: texts of flags, fields of jobs, and what is refused."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from rvm_client.alpha_edges import Edges
from rvm_client.batch.items import Item
from rvm_client.batch.runpod_job import job_input
from rvm_client.cli.flags import matte_options, row_flags
from rvm_client.errors import UsageError
from rvm_client.job import parse_job
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.refinements import SOURCE_TYPES, Refinements
from rvm_client.subject import Subject, exclude_text, parse_exclude

URL = "https://example.com/my_video.mp4"
SUBJECTS = [
    "all",
    "largest",
    "box:0.1,0,0.6,1",
    "polygon:0.1,0,0.6,0,0.6,1",
    "box:0.1,0,0.6,1@0.5;0.3,0,0.8,1@2.25",
    "largest+box:0.1,0,0.6,1",
    "largest+polygon:0,0,1,0,1,1@1",
]
OBJECTS: list[tuple[dict[str, Any], str]] = [
    ({}, "all"),
    ({"keep": "largest"}, "largest"),
    ({"box": [0.1, 0, 0.6, 1]}, "box:0.1,0,0.6,1"),
    ({"keep": "largest", "polygon": [[0, 0], [1, 0], [1, 1]]}, "largest+polygon:0,0,1,0,1,1"),
    (
        {"keys": [{"seconds": 0.5, "box": [0, 0, 0.5, 1]}, {"seconds": 2, "box": [0.5, 0, 1, 1]}]},
        "box:0,0,0.5,1@0.5;0.5,0,1,1@2",
    ),
]


def flags(**given: str) -> MatteOptions:
    """The options that the flags of the command say."""
    texts: dict[str, Any] = {"subject": "all", "exclude": None, "edges": None, **given}
    usual = {"background": None, "model": "mobilenetv3", "prefer_quality": False}
    return matte_options(OutputType.ALPHA, **usual, **texts)  # type: ignore[arg-type]


def job(**fields: Any) -> MatteOptions:
    return parse_job({"video_url": URL, "output_type": "alpha", **fields}).matte_options(Path())


@pytest.mark.parametrize("text", SUBJECTS)
def test_a_subject_s_text_says_it_all(text: str) -> None:
    subject = Subject.parse(text)
    assert subject.text == text
    assert Subject.parse(subject.text) == subject
    assert flags(subject=text).refinements == job(subject=text).refinements


@pytest.mark.parametrize(("fields", "text"), OBJECTS)
def test_an_object_says_the_same_as_a_text(fields: dict[str, Any], text: str) -> None:
    assert job(subject=fields).refinements.subject == Subject.parse(text)


def test_boxes_and_edges_of_a_job_are_those_of_the_flags() -> None:
    boxes = [[0, 0, 0.2, 1], [0.5, 0.5, 1, 1]]
    edges = {"shrink_pixels": 1.5, "feather_pixels": 2, "despill": 0.5, "levels": [0.05, 0.95]}
    text = "shrink=1.5,feather=2,despill=0.5,levels=0.05:0.95"
    by_flags = flags(exclude="0,0,0.2,1;0.5,0.5,1,1", edges=text)
    assert job(exclude=boxes, edges=edges).refinements == by_flags.refinements
    assert job(exclude="0,0,0.2,1; 0.5,0.5,1,1").refinements.subject.exclude == tuple(
        map(tuple, boxes)
    )
    assert job(edges=text).refinements.edges == by_flags.refinements.edges
    assert by_flags.refinements.edges == Edges(1.5, 2, 0.5, (0.05, 0.95))


def test_a_list_s_columns_are_the_flags() -> None:
    row = row_flags({"subject": "largest", "exclude": "0,0,1,0.5", "edges": "shrink=1"})
    found = flags(**row).refinements
    assert found == Refinements(
        Subject(largest=True, exclude=((0, 0, 1, 0.5),)), Edges(shrink_pixels=1)
    )


@pytest.mark.parametrize("text", SUBJECTS)
def test_a_batch_passes_them_on_to_the_job(text: str) -> None:
    wishes = Refinements(
        Subject.parse(text, parse_exclude("0,0,0.2,1")), Edges(-2.5, 3, 1, (0.1, 0.9))
    )
    item = Item(URL, MatteOptions(OutputType.ALPHA, refinements=wishes))
    assert parse_job(job_input(item)).matte_options(Path()).refinements == wishes


@pytest.mark.parametrize("source_type", SOURCE_TYPES)
def test_the_source_type_of_a_flag_is_that_of_a_field(source_type: str) -> None:
    assert row_flags({"source-type": source_type}) == {"source_type": source_type}
    wished = flags(source_type=source_type).refinements
    assert wished == job(source_type=source_type).refinements
    assert wished.source_type == source_type
    with pytest.raises(UsageError, match="source_type is 'blue'"):
        row_flags({"source_type": "blue"})


def test_a_batch_passes_on_nothing_that_is_not_asked_for() -> None:
    fields = job_input(Item(URL, MatteOptions(OutputType.ALPHA)))
    assert not {"subject", "exclude", "edges"} & fields.keys()


def test_an_item_with_other_refinements_is_another() -> None:
    one, other = (
        Item(URL, MatteOptions(OutputType.ALPHA, refinements=Refinements(edges=edges)))
        for edges in (Edges(), Edges(shrink_pixels=1))
    )
    assert one.options_id != other.options_id


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"subject": "biggest"}, "subject is 'biggest'; it must be all, largest, box"),
    ({"subject": "box:0,0,1"}, "box:0,0,1 must have four numbers: left, top, right and bottom"),
    ({"subject": "box:0.5,0,0.2,1"}, "box:0.5,0,0.2,1 is empty; left must be below right"),
    ({"subject": "box:0,0,1.5,1"}, "box:0,0,1.5,1 reaches out of the picture"),
    ({"subject": "box:0,0,nan,1"}, "subject is 'box:0,0,nan,1'; it must be"),
    ({"subject": "polygon:0,0,1,1"}, "must have an x and a y for each of 3 to 64 points"),
    ({"subject": "box:0,0,1,1@2;0,0,1,1@1"}, "the key time 1 s does not fit"),
    ({"subject": "box:0,0,1,1;0,0,1,1@1"}, "subject is 'box:0,0,1,1;0,0,1,1@1'; it must be"),
    ({"exclude": "0,0,1"}, "exclude is '0,0,1'; it must be boxes LEFT,TOP,RIGHT,BOTTOM"),
    ({"exclude": "0.5,0,0.2,1"}, "box:0.5,0,0.2,1 is empty"),
    ({"edges": "shrink=20"}, "shrink_pixels is 20; it must be -16 to 16"),
    ({"edges": "feather=-1"}, "feather_pixels is -1; it must be 0 to 32"),
    ({"edges": "despill=2"}, "despill is 2; it must be 0 to 1"),
    ({"edges": "levels=0.9:0.1"}, "levels are 0.9 and 0.1; they must be 0 to 1"),
    ({"edges": "blur=1"}, "edges is 'blur=1'; it must be some of shrink=PIXELS"),
    ({"edges": "shrink=1,shrink=2"}, "edges is 'shrink=1,shrink=2'; it must be"),
]


@pytest.mark.parametrize(("given", "sentence"), REFUSED)
def test_what_a_flag_does_not_take(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        flags(**given)
    assert str(refused.value).startswith(sentence) or sentence in str(refused.value)
    assert "\n" not in str(refused.value)


REFUSED_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"subject": 5}, "subject is 5; it must be a text such as largest"),
    ({"subject": {"keep": "me"}}, "subject.keep is 'me'; it must be all or largest"),
    ({"subject": {"who": 1}}, "there is no field 'subject.who'; the fields are box, polygon, keep"),
    ({"subject": {"box": [0, 0, 1]}}, "subject.box.3 is missing; it must be a list of left"),
    ({"subject": {"box": [0, 0, "1", 1]}}, "subject.box.2 is '1'; it must be a list of left"),
    ({"subject": {"box": [0, 0, True, 1]}}, "subject.box.2 is True; it must be a list of left"),
    (
        {"subject": {"box": [0, 0, 1, 1], "polygon": [[0, 0], [1, 0], [1, 1]]}},
        "subject is an object; it must be a text such as largest",
    ),
    ({"subject": {"keys": [{"seconds": 1}]}}, "subject.keys.0 is an object; it must be a list"),
    ({"subject": {"keys": []}}, "a region has 0 key times"),
    ({"exclude": [[0, 0, 1]]}, "exclude.0.3 is missing; it must be a list of boxes"),
    ({"exclude": [[0, 0, 1, 1]] * 17}, "exclude has 17 boxes; it must be 16 at most"),
    ({"edges": {"shrink_pixels": "1"}}, "edges.shrink_pixels is '1'; it must be a number"),
    ({"edges": {"shrink_pixels": 17}}, "shrink_pixels is 17; it must be -16 to 16"),
    ({"edges": {"blur": 1}}, "there is no field 'edges.blur'; the fields are shrink_pixels"),
    ({"edges": 5}, "edges is 5; it must be a text such as shrink=1,feather=2, or an object"),
    ({"edges": "blur=1"}, "edges is 'blur=1'; it must be some of shrink=PIXELS"),
    ({"subject": "https://me:secret@example.com"}, "subject is no such text; it must be all"),
]


@pytest.mark.parametrize(("fields", "sentence"), REFUSED_FIELDS)
def test_what_a_field_does_not_take(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_job({"video_url": URL, **fields})
    assert str(refused.value).startswith(sentence)


def test_only_what_follows_people_has_a_memory() -> None:
    assert Refinements(subject=Subject.parse("largest")).has_memory
    assert not Refinements(
        subject=Subject.parse("box:0,0,1,1@1;0,0,0.5,1@2"), edges=Edges.parse("feather=2")
    ).has_memory
    assert Refinements().is_nothing


def test_texts_of_boxes() -> None:
    boxes = parse_exclude("0,0.125,1,1;.5,0,1,1e-1")
    assert exclude_text(boxes) == "0,0.125,1,1;0.5,0,1,0.1"
    assert asdict(Subject(exclude=boxes))["exclude"] == boxes


def test_off_costs_no_import() -> None:
    code = (
        "import sys\n"
        "from rvm_client.refine import refined\n"
        "from rvm_client.refinements import Refinements\n"
        "refined(iter([]), Refinements(), None)\n"
        "print(*(name for name in sys.modules if name.startswith('rvm_client.refine.')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ["rvm_client.refine.findings", "rvm_client.refine.refine"]
    assert done.stdout.split() == loaded
