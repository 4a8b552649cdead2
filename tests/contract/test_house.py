"""The house rules that the import contracts cannot say."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "client" / "rvm_client", ROOT / "export" / "rvm_export")
FOLDERS = sorted(path.parent for package in PACKAGES for path in package.glob("*/__init__.py"))
CLIENT_FOLDERS = [folder.name for folder in FOLDERS if folder.parent == PACKAGES[0]]


@cache
def imports(path: Path) -> list[str]:
    """The modules of this project that a module imports names from."""
    return list(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rvm_"):
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("rvm_"))


@pytest.mark.parametrize(
    "folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}.{folder.name}"
)
def test_others_import_from_the_folder_and_not_from_its_parts(folder: Path) -> None:
    parts = f"{folder.parent.name}.{folder.name}."
    strangers = [
        f"{path} imports {module}"
        for package in PACKAGES
        for path in sorted(package.rglob("*.py"))
        if folder not in path.parents
        for module in imports(path)
        if module.startswith(parts)
    ]
    assert not strangers


@pytest.mark.parametrize("folder", CLIENT_FOLDERS)
def test_a_test_stands_where_its_subject_stands(folder: str) -> None:
    tests = Path(__file__).parents[1] / "client" / folder
    for path in tests.glob("test_*.py"):
        # The name says the module, or what several modules of the folder do together.
        assert any(module.startswith(f"rvm_client.{folder}") for module in imports(path)), path
