"""The house rules that the import contracts cannot say."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "client" / "rvm_client"
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def imports(path: Path) -> Iterator[str]:
    """The modules of this project that a module imports names from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rvm_client."):
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("rvm_client."))


@pytest.mark.parametrize("folder", FOLDERS)
def test_others_import_from_the_folder_and_not_from_its_parts(folder: str) -> None:
    parts = f"rvm_client.{folder}."
    strangers = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] != folder
        for module in imports(path)
        if module.startswith(parts)
    ]
    assert not strangers


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_test_stands_where_its_subject_stands(folder: str) -> None:
    tests = Path(__file__).parents[1] / "client" / folder
    for path in tests.glob("test_*.py"):
        # The name says the module, or what several modules of the folder do together.
        assert any(module.startswith(f"rvm_client.{folder}") for module in imports(path)), path
