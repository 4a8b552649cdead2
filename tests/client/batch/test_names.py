"""Results are called after their sources, each once, and the same in the next run."""

from pathlib import Path

import pytest

from rvm_client.batch import Item, ServedModel, named
from rvm_client.errors import UsageError
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType

GREEN = MatteOptions()
TWO_FILES = MatteOptions(OutputType.FOREGROUND_AND_MATTE)


def names(*items: Item, taken: dict[str, str] | None = None) -> list[str]:
    return [item.name for item in named(items, taken or {}, None)]


def of(*sources: str, options: MatteOptions = GREEN) -> list[Item]:
    return [Item(source, options) for source in sources]


def test_names_follow_the_sources() -> None:
    url = "https://example.com/clips/un%20nom.mov?signature=secret"
    assert names(*of("x/one.mp4", "two.b.mkv", url)) == ["one", "two.b", "un nom"]


def test_those_that_collide_get_their_folder() -> None:
    assert names(*of("x/a.mp4", "y/A.mov", "y/b.mp4")) == ["x-a", "y-A", "b"]


def test_those_that_still_collide_get_a_hash_that_stays() -> None:
    items = [*of("x/a.mp4", "x/a.mov"), *of("x/a.mp4", options=MatteOptions(crf=20))]
    first, second, third = names(*items)
    assert len({first, second, third}) == 3
    assert first.startswith("a-")
    assert names(*reversed(items)) == [third, second, first]


def test_the_same_twice_is_one_item() -> None:
    assert names(*of("x/a.mp4", "x/../x/a.mp4")) == ["a"]


def test_every_file_of_a_result_counts() -> None:
    items = [*of("x/a.mp4", options=TWO_FILES), *of("x/a.matte.mp4")]
    files = [name for item in named(items, {}, None) for name in item.file_names.values()]
    assert len(files) == len(set(files)) == 3


def test_a_file_of_another_source_is_not_replaced() -> None:
    (mine,) = of("x/a.mp4")
    assert names(mine, taken={"a.mp4": "another"}) == ["x-a"]
    assert names(mine, taken={"a.mp4": mine.source_id}) == ["a"]


def test_characters_that_stores_refuse_are_replaced() -> None:
    assert names(*of("https://example.com/a%2Fb%0A%3F.mp4")) == ["b_"]
    assert names(*of("https://example.com/")) == ["video"]


def test_a_result_never_takes_the_place_of_a_source(tmp_path: Path) -> None:
    (item,) = of(str(tmp_path / "a.mp4"))
    with pytest.raises(UsageError, match="would take the place of a source"):
        named([item], {}, tmp_path)
    assert named([item], {}, tmp_path / "out")


def test_a_key_changes_with_source_options_and_model(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"1")
    one = ServedModel("1")
    (item,) = of(str(path))
    key = item.with_key(one).key
    assert key == item.with_key(one).key
    others = [
        item.with_key(ServedModel("2")),
        item.with_key(ServedModel("1", "another")),
        Item(str(path), MatteOptions(crf=20)).with_key(one),
        Item(str(path), GREEN, preview=True).with_key(one),
        Item(str(path), GREEN, background="sky.png").with_key(one),
    ]
    path.write_bytes(b"12")
    others.append(item.with_key(one))
    assert len({key, *(other.key for other in others)}) == 7
