"""What the export says of PyTorch here and of the one that will serve."""

import re
import zipfile
from pathlib import Path

import pytest
import torch
from tests.support.commands import invoke

from rvm_export.cli import main
from rvm_export.hashes import sha256_of
from rvm_export.provenance import NEXT_TORCH, SERVER_TORCH, code_sha256, newer_than_server
from rvm_export.wire import Format

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


def test_the_server_is_that_of_the_image() -> None:
    (served,) = re.findall(r"its LibTorch is (\d+\.\d+)", DOCKERFILE.read_text())
    assert served == SERVER_TORCH
    major, minor = SERVER_TORCH.split(".")
    assert f"{major}.{int(minor) + 1}" == NEXT_TORCH


@pytest.mark.parametrize(
    ("version", "is_newer"),
    [("2.7.1", False), ("2.8.0a0+5228986c39", False), ("2.8.1+cu129", False), ("2.13.0+cpu", True)],
)
def test_a_newer_pytorch_is_noticed(
    version: str, is_newer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion(version))
    note = newer_than_server()
    assert (note is not None) == is_newer
    assert note is None or (version in note and SERVER_TORCH in note)


def test_export_says_so_and_goes_on(official_checkpoint: Path) -> None:
    """Before anything is made: here the folder cannot be."""
    arguments = ("--checkpoint", official_checkpoint, "--repository", "/sys/rvm")
    result = invoke(main, "export", *arguments)
    note = newer_than_server()
    assert (note in result.stderr.splitlines()) if note else ("Note:" not in result.stderr)
    assert "cannot write the model repository" in result.stderr


def test_verify_names_a_file_of_a_newer_pytorch(model_repository: Path, tmp_path: Path) -> None:
    source = model_repository / "rvm_mobilenetv3" / "1"
    folder = tmp_path / "rvm_mobilenetv3" / "1"
    folder.mkdir(parents=True)
    with (
        zipfile.ZipFile(source / "model.pt") as old,
        zipfile.ZipFile(folder / "model.pt", "w") as new,
    ):
        for name in old.namelist():
            new.writestr(name, b"99\n" if name.endswith("/version") else old.read(name))
    manifest = (source / "manifest.json").read_text()
    hashes = sha256_of(source / "model.pt"), sha256_of(folder / "model.pt")
    (folder / "manifest.json").write_text(manifest.replace(*hashes))
    result = invoke(main, "verify", "--repository", tmp_path)
    assert result.exit_code == 4
    (error,) = result.stderr.splitlines()
    assert f"PyTorch {torch.__version__} cannot read" in error
    assert "with version 99" in error


def test_the_hash_of_the_code_is_that_of_its_format() -> None:
    hashes = {code_sha256(format_) for format_ in Format}
    assert len(hashes) == len(Format)
    assert hashes == {code_sha256(format_) for format_ in Format}
