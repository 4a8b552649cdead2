"""A version made again from its manifest."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import Result
from tests.support.commands import invoke

from rvm_export import provenance, script
from rvm_export.cli import main
from rvm_export.compare import find_version
from rvm_export.errors import VerificationError
from rvm_export.hashes import sha256_of
from rvm_export.model_files import model_bytes
from rvm_export.provenance import code_sha256
from rvm_export.repository import Manifest
from rvm_export.weights import Weights
from rvm_export.wire import Format, Layout, ModelKind, Precision

KIND = ModelKind()
# Prints what a process of its own makes.
MAKE = """
import hashlib, sys
from rvm_export.config import cache_folder
from rvm_export.model_files import model_bytes
from rvm_export.weights import Source, fetch_weights
from rvm_export.wire import ModelKind, Precision
weights = fetch_weights(cache_folder() / "weights", lambda _: None, Source.INT8)
print(hashlib.sha256(model_bytes(weights.network(), ModelKind(), Precision.FP32)).hexdigest())
"""


def reproduce(*arguments: object) -> Result:
    return invoke(main, "reproduce", *arguments)


def written(folder: Path, manifest: Manifest, data: bytes, **changes: object) -> Path:
    """A version's folder with a file and what its manifest says."""
    folder.mkdir()
    (folder / "model.pt").write_bytes(data)
    manifest.write(folder)
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.fixture
def manifest(model_repository: Path) -> Manifest:
    return Manifest.read(model_repository / KIND.name / "1")


def test_two_processes_make_the_same_bytes() -> None:
    command = [sys.executable, "-W", "ignore", "-c", MAKE]
    made = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    hashes = [process.communicate()[0].strip() for process in made]
    assert [process.returncode for process in made] == [0, 0]
    assert len(hashes[0]) == 64
    assert hashes[0] == hashes[1]


def test_a_manifest_says_how_the_version_was_made(manifest: Manifest) -> None:
    assert (manifest.layout, manifest.format) == (Layout.RGB, Format.TORCHSCRIPT)
    assert manifest.toolchain == provenance.toolchain(Format.TORCHSCRIPT)
    assert manifest.toolchain["torch"] == manifest.torch_version == torch.__version__
    assert manifest.code_sha256 == code_sha256(Format.TORCHSCRIPT)
    assert manifest.threads is not None
    assert manifest.format_version is not None


def test_made_again(model_repository: Path) -> None:
    result = reproduce("1", "--repository", model_repository)
    assert result.exit_code == 0, result.output
    first, *rest = result.stdout.splitlines()
    # Names in the archive count what this process has scripted before.
    same = (
        "the same bytes.",
        "the same weights and the same program; names in the archive differ.",
    )
    assert first in [f"{KIND.name}/1 was made again: {words}" for words in same]
    assert rest in ([], ["The toolchain is the same."])


def test_other_toolchain_and_other_mattes_are_told(
    manifest: Manifest, weights: Weights, tmp_path: Path
) -> None:
    """A version of slightly other weights than its manifest says, of an older PyTorch."""
    network = weights.network()
    assert network.project_mat.conv.bias is not None
    with torch.no_grad():
        network.project_mat.conv.bias[3] += 0.1  # 25 levels of alpha
    data = model_bytes(network, KIND, Precision.FP32)
    then = {"torch_version": "2.7.1", "toolchain": None, "code_sha256": None}
    result = reproduce(written(tmp_path / "old", manifest, data, **then))
    assert result.exit_code == 1
    first, changed, unknown = result.stdout.splitlines()
    assert "another file; its mattes differ by up to" in first
    assert changed == f"Not as it was: torch, 2.7.1 then and {torch.__version__} here."
    assert unknown == "Its manifest does not say: python, numpy, platform, code."
    assert "old and " in result.stderr
    assert "at most 1 are allowed" in result.stderr


def test_weights_must_be_those_of_the_manifest(
    model_repository: Path, official_checkpoint: Path
) -> None:
    result = reproduce("1", "--repository", model_repository, "--checkpoint", official_checkpoint)
    assert result.exit_code == 3
    assert f"has the SHA-256 {sha256_of(official_checkpoint)}" in result.stderr


def test_an_older_manifest_is_read(manifest: Manifest, tmp_path: Path) -> None:
    folder = written(tmp_path / "old", manifest, b"")
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    newer = ("layout", "format", "format_version", "toolchain", "threads", "code_sha256", "variant")
    path.write_text(json.dumps({key: values[key] for key in values if key not in newer}))
    read = Manifest.read(folder)
    assert (read.layout, read.format, read.toolchain) == (None, Format.TORCHSCRIPT, None)
    # Where it does not say, the model's folder does.
    named = tmp_path / "rvm_mobilenetv3_yuv"
    named.mkdir()
    folder.rename(named / "4")
    assert find_version(str(named / "4"), []).kind == ModelKind(layout=Layout.YUV)


def test_a_program_is_the_same_whatever_its_parts_are_called(
    weights: Weights, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.pt" for number in range(2)]
    for path in paths:
        path.write_bytes(model_bytes(weights.network(), KIND, Precision.FP32))
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert script.program_sha256(paths[0]) == script.program_sha256(paths[1])
    network = weights.network()
    with torch.no_grad():
        network.project_mat.conv.weight[0, 0] *= 1 + 2**-20
    paths[1].write_bytes(model_bytes(network, KIND, Precision.FP32))
    assert script.program_sha256(paths[0]) != script.program_sha256(paths[1])


def test_what_is_no_torchscript(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"hello")
    with pytest.raises(VerificationError, match="is not a TorchScript file"):
        script.archive_version(tmp_path / "model.pt")
