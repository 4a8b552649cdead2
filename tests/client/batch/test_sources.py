"""What a command names becomes sources, each with the options of its row."""

from pathlib import Path

import pytest

from rvm_client.batch import Listed, find_sources
from rvm_client.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files by name only: nothing is opened yet."""
    for name in ("b.MOV", "a.mp4", "deep/c.webm", "notes.md", ".hidden.mp4", "out/a.mp4"):
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sources(*named: str, target: Path | None = None) -> list[str]:
    return [listed.source for listed in find_sources(named, target)]


def test_a_folder_is_its_videos_at_any_depth_but_for_the_results(folder: Path) -> None:
    found = sources("clips", target=folder / "clips" / "out")
    assert found == ["clips/a.mp4", "clips/b.MOV", "clips/deep/c.webm"]


@pytest.mark.usefixtures("folder")
def test_files_globs_and_urls_stay_in_order() -> None:
    url = "https://example.com/x.mp4?token=1"
    assert sources(url, "clips/*.M*", "clips/notes.md") == [url, "clips/b.MOV", "clips/notes.md"]
    assert sources("clips/**/*.webm") == ["clips/deep/c.webm"]


def test_a_text_list_has_a_source_a_line_beside_itself(folder: Path) -> None:
    (folder / "clips" / "list.txt").write_text("# mine\na.mp4\n\nhttps://example.com/x.mp4\n")
    assert sources("clips/list.txt") == ["clips/a.mp4", "https://example.com/x.mp4"]


def test_rows_of_csv_and_json_have_options(folder: Path) -> None:
    csv, lines = folder / "list.csv", folder / "list.jsonl"
    csv.write_text('source,crf,background\r\nclips/a.mp4,20,\r\n"clips/b.MOV",,"#102030"\r\n')
    lines.write_text('{"video_url": "clips/a.mp4", "audio": false, "crf": 20, "background": null}')
    assert find_sources(["list.csv"]) == [
        Listed("clips/a.mp4", {"crf": "20"}, "list.csv, line 2"),
        Listed("clips/b.MOV", {"background": "#102030"}, "list.csv, line 3"),
    ]
    assert find_sources(["list.jsonl"]) == [
        Listed("clips/a.mp4", {"audio": "false", "crf": "20"}, "list.jsonl, line 1")
    ]


def test_a_background_in_a_list_lies_beside_the_list(folder: Path) -> None:
    sky = "https://example.com/sky.png"
    rows = [f"a.mp4,{behind}" for behind in ("sky.png", sky, "red", "")]
    (folder / "clips" / "list.csv").write_text("\n".join(["source,background", *rows]))
    found = [listed.row.get("background") for listed in find_sources(["clips/list.csv"])]
    assert found == ["clips/sky.png", sky, "red", None]


def test_a_line_of_json_ends_where_json_says(folder: Path) -> None:
    (folder / "list.jsonl").write_text('{"source": "a\u2028b.mp4"}\r\n{"source": "c.mp4"}\r\n')
    assert sources("list.jsonl") == ["a\u2028b.mp4", "c.mp4"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.csv", "video,crf\na.mp4,20\n", "l.csv, line 2: give the video in one column"),
        ("l.csv", "source,video_url\na.mp4,b.mp4\n", "l.csv, line 2: give the video in one column"),
        ("l.csv", "source,crf\na.mp4\n", "l.csv, line 2: it has not as many cells"),
        ("l.csv", "source\na.mp4,20\n", "l.csv, line 2: it has not as many cells"),
        ("l.csv", 'source\n"a.mp4\n', "l.csv, after line 1: it is not CSV"),
        ("l.jsonl", '{"source": "a.mp4"}\nnot json\n', "l.jsonl, line 2: it is not JSON"),
        ("l.jsonl", '{"source": ["a.mp4"]}', "l.jsonl, line 1: it must be an object of plain"),
        ("l.jsonl", "[]", "l.jsonl, line 1: it must be an object of plain"),
        ("l.txt", "\n", "there is no video in what was named"),
    ],
)
def test_a_list_with_a_mistake_is_refused_by_its_line(
    folder: Path, name: str, text: str, message: str
) -> None:
    (folder / name).write_text(text)
    with pytest.raises(UsageError) as refused:
        find_sources([name])
    assert str(refused.value).startswith(message)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.mp4", "there is no file or folder gone.mp4"),
        ("gone/*.mp4", "nothing matches gone/*.mp4"),
        ("clips/out", "clips/out is both the sources' and the results' folder"),
    ],
)
def test_what_is_not_there_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        find_sources([name], Path("clips/out"))
    assert str(refused.value).startswith(message)
