"""What the page sends of a job: validated, described for others, estimated."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from rvm_client.cli.flags import background_of, matte_flags, matte_options, output_type_of
from rvm_client.errors import UsageError
from rvm_client.job import Job, parse_job
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.web.database import Database, Measure, Measures
from rvm_client.web.descriptions import _TOLD, _same_named, describe
from rvm_client.web.estimates import estimate
from rvm_client.web.records import Video
from rvm_client.web.wishes import parse_wish

VIDEO = Video(
    id="v",
    session="s",
    name="my clip.mp4",
    state="ready",
    width=1000,
    height=500,
    fps=30.0,
    duration_seconds=10.0,
    frames=300,
)


# --- What is refused: one sentence each, those of a job.


@pytest.mark.parametrize(
    ("fields", "types", "words"),
    [
        ({}, [], "at least one type"),
        ({}, "alpha", "must be a list"),
        ({}, ["alpha", "alpha"], "twice"),
        ({}, ["mp3"], "'mp3'"),
        ([], ["alpha"], "must be an object"),
        ({"speed": "warp"}, ["alpha"], "speed is 'warp'"),
        ({"nonsense": 1}, ["alpha"], "no field 'nonsense'"),
        ({"video_url": "https://example.com/x"}, ["alpha"], "'video_url'"),
        ({"upload_url": "https://example.com/x"}, ["alpha"], "'upload_url'"),
        ({"background": "red"}, ["alpha"], "background does not go with"),
        ({"background": "file:none"}, ["greenscreen"], "choose it again"),
        ({"background": "../../etc/passwd"}, ["greenscreen"], "background is"),
        ({"background": "file:../source"}, ["greenscreen"], "choose it again"),
        ({"crf": 20, "bitrate": 1_000_000}, ["alpha"], "give one"),
        ({"crf": 20}, ["png_sequence"], "crf does not go with"),
        ({"start_seconds": 2, "end_seconds": 1}, ["alpha"], "end_seconds is 1"),
    ],
)
def test_refused(fields: Any, types: Any, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_wish(fields, types)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_set_is_made_of_types_that_are_encoded_once() -> None:
    wish = parse_wish({"background": "red"}, ["alpha", "auto_web", "greenscreen"])
    assert wish.parts == (OutputType.GREENSCREEN, OutputType.ALPHA, OutputType.ALPHA_HEVC)
    assert parse_wish({}, ["auto_web"]).options(Path()).output_type is OutputType.ALPHA


def test_what_goes_with_one_of_several_types() -> None:
    wish = parse_wish({"background": "red", "crf": 30}, ["alpha", "png_sequence", "greenscreen"])
    assert wish.output_types[0] is OutputType.GREENSCREEN
    options = wish.options(Path())
    assert (options.background, options.crf) == ((255, 0, 0), 30)
    assert {"background", "crf"}.isdisjoint(wish.input_of(OutputType.ALPHA))


def test_an_uploaded_background() -> None:
    wish = parse_wish({"background": "file:b1"}, ["greenscreen"], ("b0", "b1"))
    assert wish.options(Path("/folder")).background == Path("/folder/background-b1")


# --- The same job for others.

CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["greenscreen"]),
    ({"speed": "fast"}, ["alpha", "matte"]),
    ({"speed": "quality", "audio": False}, ["foreground_and_matte"]),
    ({"speed": "best", "warm_start": False}, ["alpha_prores", "png_sequence"]),
    ({"downsample_ratio": 0.4, "crf": 18, "background": "#102030"}, ["greenscreen"]),
    ({"downsample_ratio": "auto", "bitrate": 2_000_000}, ["alpha"]),
    ({"trim": {"start_seconds": 1.25, "end_seconds": 3}}, ["alpha", "greenscreen"]),
    ({"start_seconds": 0.1, "max_width": 640, "max_height": 360}, ["matte"]),
]


@click.command()
@click.argument("source")
@click.option("-o", "--output", type=click.Path(path_type=Path))
@matte_flags
def command(**_: Any) -> None:
    """Only asked for what its words mean."""


def meant_by(words: list[str]) -> MatteOptions:
    """The options of `rvm-matte`, as it reads its words."""
    given = command.make_context("rvm-matte", words[1:]).params
    assert given.pop("source") == "my clip.mp4"
    kind = output_type_of(given.pop("output"), given.pop("output_type"))
    behind = background_of(given.pop("background"))
    assert not isinstance(behind, str)
    return matte_options(kind, background=behind, **given)


@pytest.mark.parametrize(("fields", "types"), CASES, ids=str)
def test_the_described_job_is_the_same(fields: dict[str, Any], types: list[str]) -> None:
    wish = parse_wish(fields, types)
    described = describe(wish, VIDEO)
    assert len(described["jobs"]) == len(described["commands"]) == len(types)
    wanted = wish.options(Path())
    for job, line in zip(described["jobs"], described["commands"], strict=True):
        posted = parse_job(job["input"]).matte_options(Path())
        # A command takes the network that it is told, or none.
        said = replace(meant_by(shlex.split(line)), or_default_model=posted.or_default_model)
        assert said == posted
        assert posted.output_type.value in types
        if posted.output_type is wanted.output_type:
            assert posted == wanted


def test_every_field_of_a_job_is_told() -> None:
    """By an option that the command has a flag for, or by a flag of its own name."""
    flags = {flag for option in command.params for flag in option.opts}
    elsewhere = {"video_url", "output_type", "upload_url", "cloudinary_folder", "preview"}
    for name in Job.model_fields.keys() - _TOLD - elsewhere:
        assert f"--{name.replace('_', '-')}" in flags
    assert Job.model_fields.keys() >= _TOLD


def test_fields_as_flags_write_them() -> None:
    edges = {"shrink_pixels": 2, "levels": [0.05, 0.9]}
    assert _same_named({"edges": edges, "exclude": [[0, 0, 0.5, 1], [0.5, 0, 1, 1]]}) == [
        *("--edges", "shrink=2,levels=0.05:0.9"),
        *("--exclude", "0,0,0.5,1;0.5,0,1,1"),
    ]
    assert _same_named({"source_type": "auto", "crf": 3}) == ["--source-type", "auto"]


def test_a_name_is_one_word_and_no_flag() -> None:
    video = VIDEO.model_copy(update={"name": "--version; rm -rf 'x'.mp4"})
    (line,) = describe(parse_wish({}, ["alpha"]), video)["commands"]
    words = shlex.split(line)
    assert words[:3] == ["rvm-matte", "./--version; rm -rf 'x'.mp4", "-o"]


def test_an_uploaded_background_is_named() -> None:
    wish = parse_wish({"background": "file:b"}, ["greenscreen"], ("b",))
    described = describe(wish, VIDEO)
    assert described["jobs"][0]["input"]["background"].startswith("https://")
    assert "--background background" in described["commands"][0]


# --- Estimates.


@pytest.fixture
def measures(tmp_path: Path) -> Measures:
    return Measures(Database(tmp_path / "database"))


def estimated(measures: Measures, fields: dict[str, Any], types: list[str]) -> dict[str, Any]:
    wish = parse_wish(fields, types)
    made = {*wish.output_types, OutputType.ALPHA}
    return estimate(VIDEO, wish.options(Path()), wish.output_types, made, measures)


def test_nothing_is_known_at_first(measures: Measures) -> None:
    assert estimated(measures, {}, ["alpha"])["seconds"] is None


def test_estimates_by_what_was_like_it(measures: Measures) -> None:
    # The network sees 250 pixels of 1000: two to the eighth.
    measures.note("mobilenetv3 8 usual alpha", Measure(2.0, {"alpha": 1000.0}, 3))
    measures.note("mobilenetv3 7 usual alpha", Measure(100.0, {"alpha": 7.0}))
    # Of 300 frames of half a million pixels.
    found = estimated(measures, {}, ["alpha"])
    assert (found["seconds"], found["bytes"]) == (300.0, 150_000)
    assert found["based_on"] == "3 jobs like this one on this machine"
    half = estimated(measures, {"end_seconds": 5}, ["alpha"])
    assert half["seconds"] == 150.0
    assert estimated(measures, {"max_width": 500, "downsample_ratio": 0.5}, ["alpha"]) == {
        **found,
        "seconds": 75.0,
        "bytes": 37_500,
    }


def test_estimates_by_what_was_of_another_kind(measures: Measures) -> None:
    measures.note("mobilenetv3 8 usual alpha", Measure(2.0, {"alpha": 1000.0}))
    found = estimated(measures, {"speed": "quality"}, ["matte"])
    assert found == {
        "seconds": 300.0,
        "bytes": None,
        "based_on": "1 job of other kinds on this machine",
    }
