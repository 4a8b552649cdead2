"""`rvm-export` where models of both variants are in one repository."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from tests.support.commands import invoke

from rvm_export.cli import main
from rvm_export.repository import Manifest
from rvm_export.wire import ModelKind, Variant

MOBILENETV3, RESNET50 = (ModelKind(variant).name for variant in Variant)


def rvm_export(*arguments: str | Path) -> Result:
    return invoke(main, *arguments)


@pytest.fixture
def repository(both_variants_repository: Path, tmp_path: Path) -> Path:
    """A copy to spoil. ResNet50 is at version 2, so that numbers say which model is meant."""
    shutil.copytree(both_variants_repository, tmp_path / "repository")
    (tmp_path / "repository" / RESNET50 / "1").rename(tmp_path / "repository" / RESNET50 / "2")
    return tmp_path / "repository"


def test_the_list_shows_both(repository: Path) -> None:
    rows = json.loads(rvm_export("list", "--json", "--repository", repository).output)
    assert [(row["model"], row["version"], row["variant"]) for row in rows] == [
        (MOBILENETV3, 1, "mobilenetv3"),
        (RESNET50, 2, "resnet50"),
    ]
    table = rvm_export("list", "--repository", repository).output
    assert MOBILENETV3 in table
    assert RESNET50 in table


def test_resnet50_is_verified_beside_the_other(repository: Path) -> None:
    manifest = Manifest.read(repository / RESNET50 / "2")
    assert manifest.variant is Variant.RESNET50
    assert manifest.difference_from_eager["pha_max"] <= 1
    result = rvm_export("verify", "2", "--variant", "resnet50", "--repository", repository)
    assert result.output == f"{RESNET50} version 2 is sound: hash, contract, splitting.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("3",), f"{MOBILENETV3} has no version 3, but 1"),
        # The other variant has it.
        (("2", "--variant", "mobilenetv3"), f"{MOBILENETV3} has no version 2, but 1"),
        (("1", "--variant", "resnet50"), f"{RESNET50} has no version 1, but 2"),
    ],
)
def test_numbers_are_of_a_variant(
    repository: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    result = rvm_export("verify", *arguments, "--repository", repository)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_manifest_that_says_no_variant_is_of_mobilenetv3(repository: Path) -> None:
    """Manifests of before there were two."""
    path = repository / MOBILENETV3 / "1" / "manifest.json"
    values = json.loads(path.read_text())
    assert values.pop("variant") == "mobilenetv3"
    path.write_text(json.dumps(values))
    assert Manifest.read(path.parent).variant is Variant.MOBILENETV3


def test_a_version_in_the_folder_of_the_other_variant(repository: Path) -> None:
    (repository / RESNET50 / "2").rename(repository / MOBILENETV3 / "2")
    result = rvm_export("verify", "2", "--repository", repository)
    assert result.exit_code == 4
    assert f"{MOBILENETV3}/2 holds a model of the variant resnet50" in result.stderr


def test_a_checkpoint_of_the_other_variant(
    official_checkpoint: Path, resnet50_checkpoint: Path, tmp_path: Path
) -> None:
    for variant, checkpoint, found in (
        ("mobilenetv3", resnet50_checkpoint, "ResNet50"),
        ("resnet50", official_checkpoint, "MobileNetV3"),
    ):
        what = ("--variant", variant, "--checkpoint", checkpoint)
        result = rvm_export("export", *what, "--repository", tmp_path / "repository")
        assert result.exit_code == 3
        assert f"is a checkpoint of RVM {found}, not of" in result.stderr
    assert not (tmp_path / "repository").exists()
