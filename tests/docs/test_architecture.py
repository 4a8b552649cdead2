"""What architecture.md names is there, and what is there it names."""

import re
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, ROOT, checked_block, codes, prose

CLIENT = ROOT / "client" / "rvm_client"
EXPORT = ROOT / "export" / "rvm_export"
PATHS = sorted(
    {
        code
        for code in codes(prose(DOCS / "architecture.md"))
        if re.fullmatch(r"[\w./]+(/[\w.]*|\.(py|toml|pbtxt))", code)
    }
)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_named_exists(path: str) -> None:
    # Of the root, of the client, or of the models' configs.
    folders = (ROOT, CLIENT, ROOT / "export" / "rvm_export" / "data" / "rvm_mobilenetv3")
    assert any((folder / path).exists() for folder in folders)


def test_the_paths_are_found() -> None:
    assert {"frames.py", "upload/store.py", "client/rvm_client", ".runpod/hub.json"} <= {*PATHS}


def test_the_tree_names_what_is_there() -> None:
    text = checked_block("test_the_tree_names_what_is_there").text
    assert named(text) == there(CLIENT)


def test_the_tree_of_the_export_names_what_is_there() -> None:
    text = checked_block("test_the_tree_of_the_export_names_what_is_there").text
    assert named(text) == there(EXPORT)


def named(tree: str) -> set[str]:
    return {line.split()[0] for line in tree.splitlines()[1:] if line}


def there(package: Path) -> set[str]:
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    return folders | {path.name for path in package.glob("*.py")} - {"__init__.py", "__main__.py"}
