"""The report is read by the next run, whatever was left of it."""

import json
from pathlib import Path

import pytest

from rvm_client.batch import Item, Outcome, Report, ServedModel, Status
from rvm_client.errors import InputError, UsageError
from rvm_client.options import MatteOptions
from rvm_client.output_types import FileRole

MODEL = ServedModel("1")
ITEM = Item("https://example.com/a.mp4?token=secret", MatteOptions(), name="a").with_key(MODEL)


def done(item: Item, file: str = "out/a.mp4") -> Outcome:
    return Outcome(item, Status.DONE, {FileRole.OUTPUT: file}, bytes=7, frames=3)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_was_done_is_known_to_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    with Report(path) as report:
        assert report.done_before(ITEM) is None
        report.write(done(ITEM))
        # Of this run nothing is known as done before.
    with Report(path) as report:
        before = report.done_before(ITEM)
        assert before is not None
        assert (before.bytes, before.frames) == (7, 3)
        assert report.taken == {"a.mp4": ITEM.source_id}
    assert "secret" not in path.read_text()


def test_a_failure_has_its_class_and_sentence_and_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    with Report(path) as report:
        report.write(Outcome.failed(ITEM, InputError("a.mp4 is no video")))
        report.write(Outcome.failed(ITEM, ZeroDivisionError("secret")))
    first, second = lines(path)
    assert (first["error_class"], first["error"]) == ("InputError", "a.mp4 is no video")
    assert second["error"] == "an internal error (ZeroDivisionError) stopped this video"
    with Report(path) as report:
        assert report.done_before(ITEM) is None


def test_a_later_result_in_the_same_place_counts(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    other = Item(ITEM.source, MatteOptions(crf=20), name="a").with_key(MODEL)
    with Report(path) as report:
        report.write(done(ITEM))
        report.write(done(other, "elsewhere/../out/a.mp4"))
    with Report(path) as report:
        assert report.done_before(ITEM) is None
        assert report.done_before(other) is not None


def test_half_a_line_of_a_killed_run_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    with Report(path) as report:
        report.write(done(ITEM))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    with Report(path) as report:
        assert report.done_before(ITEM) is not None
        report.write(done(ITEM))
    assert path.read_bytes().startswith(whole + whole[:50] + b"\n{")


def test_two_runs_do_not_write_one_report(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    with Report(path), pytest.raises(UsageError, match="another run writes the report"):
        Report(path)
    Report(path).close()
