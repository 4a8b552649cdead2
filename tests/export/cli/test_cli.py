"""`rvm-export` as a user runs it: real files, one line for each mistake.

In this process, but for signals and what Python itself prints.
"""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import Result
from tests.support.commands import invoke
from tests.support.repositories import cut_warm_up

from rvm_export import script
from rvm_export.cli import main
from rvm_export.config import cache_folder
from rvm_export.hashes import sha256_of
from rvm_export.repository.config_pbtxt import packaged_folder, precision_of
from rvm_export.verify.goldens import SEED
from rvm_export.verify.verification import seeded_network
from rvm_export.wire import Layout, ModelKind, Precision

RGB, YUV = ModelKind(), ModelKind(layout=Layout.YUV)
MODEL_NAME, YUV_MODEL_NAME = RGB.name, YUV.name
COMMAND = [sys.executable, "-m", "rvm_export"]


def rvm_export(*arguments: str | Path) -> Result:
    return invoke(main, *arguments)


def assert_refused(result: Result, exit_code: int, message: str) -> None:
    """One line, without a trace."""
    assert result.exit_code == exit_code, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("rvm-export:")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in result.output


@pytest.fixture
def published(model_repository: Path, tmp_path: Path) -> Path:
    """A copy of the exported repository, to spoil."""
    return Path(shutil.copytree(model_repository, tmp_path / "published"))


def test_exported_repository(model_repository: Path) -> None:
    folder = model_repository / MODEL_NAME
    assert sorted(entry.name for entry in folder.iterdir()) == ["1", "config.pbtxt", "warmup"]
    packaged = (packaged_folder(RGB) / "config.pbtxt").read_text()
    assert (folder / "config.pbtxt").read_text() == cut_warm_up(packaged)
    manifest = json.loads((folder / "1" / "manifest.json").read_text())
    assert manifest["model_sha256"] == sha256_of(folder / "1" / "model.pt")
    assert manifest["precision"] == "fp32"
    assert manifest["refiner"] == "fast_guided_filter"
    assert manifest["torch_version"] == torch.__version__
    for measured in ("difference_from_eager", "difference_from_golden"):
        assert manifest[measured]["pha_max"] <= 1
        assert 0 < manifest[measured]["fgr_mean"] < 0.01


def test_list(model_repository: Path, tmp_path: Path) -> None:
    table = rvm_export("list", "--repository", model_repository)
    assert table.exit_code == 0
    assert "fp32" in table.output
    rows = json.loads(rvm_export("list", "--json", "--repository", model_repository).output)
    assert [(row["version"], row["precision"]) for row in rows] == [(1, "fp32")]
    assert json.loads(rvm_export("list", "--json", "--repository", tmp_path).output) == []


def test_verify_by_a_process(model_repository: Path) -> None:
    """It says one thing: no deprecation of TorchScript is shown to the user."""
    command = [*COMMAND, "verify", "--repository", str(model_repository)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    sound = "version 1 is sound: hash, contract, splitting, golden mattes.\n"
    assert (run.stdout, run.stderr) == (f"{MODEL_NAME} {sound}", "")


def test_both_layouts(yuv_model_repository: Path, model_repository: Path) -> None:
    folder = yuv_model_repository / YUV_MODEL_NAME
    packaged = packaged_folder(YUV)
    config, data = "config.pbtxt", "warmup/downsample_ratio_0.25"
    assert (folder / config).read_text() == cut_warm_up((packaged / config).read_text())
    assert (folder / data).read_bytes() == (packaged / data).read_bytes()
    manifest = json.loads((folder / "1" / "manifest.json").read_text())
    assert manifest["model_sha256"] == sha256_of(folder / "1" / "model.pt")
    # From the RGB of its own planes, and from the mattes of frames whose chroma was not halved.
    assert manifest["difference_from_eager"]["pha_max"] <= 1
    assert manifest["difference_from_eager"]["fgr_max"] <= 1
    assert manifest["difference_from_golden"]["pha_mean"] < 0.1
    listed = rvm_export("list", "--json", "--repository", yuv_model_repository)
    models = [(row["model"], row["version"]) for row in json.loads(listed.output)]
    assert models == [(MODEL_NAME, 1), (YUV_MODEL_NAME, 1)]
    assert YUV_MODEL_NAME in rvm_export("list", "--repository", yuv_model_repository).output
    assert YUV_MODEL_NAME not in rvm_export("list", "--repository", model_repository).output
    verified = rvm_export("verify", "--repository", yuv_model_repository)
    assert verified.exit_code == 0, verified.output
    assert [line.split()[0] for line in verified.output.splitlines()] == [*dict(models)]


def test_both_layouts_get_one_number(official_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / YUV_MODEL_NAME / "1").mkdir(parents=True)
    command = ("export", "--checkpoint", official_checkpoint, "--layout", "both")
    result = rvm_export(*command, "--repository", tmp_path)
    assert result.exit_code == 0, result.output
    folders = [tmp_path / name / "2" for name in (MODEL_NAME, YUV_MODEL_NAME)]
    assert result.stdout.split() == [str(folder) for folder in folders]
    assert all((folder / "model.pt").is_file() for folder in folders)


def test_official_checkpoint_in_half_precision(half_model_repository: Path) -> None:
    for name in (MODEL_NAME, YUV_MODEL_NAME):
        folder = half_model_repository / name
        assert {path.name for path in folder.iterdir()} == {"1", "config.pbtxt", "warmup"}
        assert precision_of((folder / "config.pbtxt").read_text()) is Precision.FP16
        manifest = json.loads((folder / "1" / "manifest.json").read_text())
        assert manifest["precision"] == "fp16"
        assert manifest["refiner"] == "deep_guided_filter"
        assert manifest["difference_from_golden"] is None


def test_verify_in_half_precision(half_model_repository: Path, tmp_path: Path) -> None:
    """One of the two models: its contract and its splitting take a CPU long in float16."""
    shutil.copytree(half_model_repository / YUV_MODEL_NAME, tmp_path / YUV_MODEL_NAME)
    result = rvm_export("verify", "--repository", tmp_path)
    assert result.exit_code == 0, result.output
    assert result.output == f"{YUV_MODEL_NAME} version 1 is sound: hash, contract, splitting.\n"


def test_one_model_has_one_precision(
    official_checkpoint: Path, half_model_repository: Path, published: Path
) -> None:
    command = ("export", "--checkpoint", official_checkpoint)
    wrong = (
        (half_model_repository, ("--precision", "fp32")),
        # Nor may the second model differ from the first.
        (published, ("--precision", "fp16", "--layout", "both")),
    )
    for repository, options in wrong:
        result = rvm_export(*command, *options, "--repository", repository)
        assert_refused(result, 2, "one model has one precision")
    assert not (published / YUV_MODEL_NAME).exists()


def test_verify_a_version_of_those_that_have_it(yuv_model_repository: Path, tmp_path: Path) -> None:
    repository = shutil.copytree(yuv_model_repository, tmp_path / "r")
    (repository / YUV_MODEL_NAME / "1").rename(repository / YUV_MODEL_NAME / "2")
    for version, model in (("1", MODEL_NAME), ("2", YUV_MODEL_NAME)):
        result = rvm_export("verify", version, "--repository", repository)
        assert result.exit_code == 0, result.output
        assert result.output.startswith(f"{model} version {version} is sound")
        assert len(result.output.splitlines()) == 1
    result = rvm_export("verify", "3", "--repository", repository)
    assert_refused(result, 2, f"{MODEL_NAME} has no version 3, but 1")


def test_verify_notices_a_changed_file(published: Path) -> None:
    model = published / MODEL_NAME / "1" / "model.pt"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    assert_refused(rvm_export("verify", "1", "--repository", published), 4, "SHA-256")


def test_verify_notices_other_weights(published: Path) -> None:
    """A whole and valid model, but not the one that the manifest tells of."""
    folder = published / MODEL_NAME / "1"
    other = script.script(seeded_network(SEED), torch.float32, Layout.RGB)
    torch.jit.save(other, folder / "model.pt")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["model_sha256"] = sha256_of(folder / "model.pt")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert_refused(rvm_export("verify", "1", "--repository", published), 4, "golden case")


def test_verify_without_a_version(tmp_path: Path) -> None:
    assert_refused(rvm_export("verify", "--repository", tmp_path), 2, "has no version")


def test_verify_without_a_manifest(published: Path) -> None:
    (published / MODEL_NAME / "1" / "manifest.json").unlink()
    assert_refused(rvm_export("verify", "--repository", published), 5, "cannot read")


def test_version_that_is_there(model_repository: Path, official_checkpoint: Path) -> None:
    arguments = ("export", "--checkpoint", official_checkpoint, "--version", "1")
    result = rvm_export(*arguments, "--repository", model_repository)
    assert_refused(result, 2, "never overwritten")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no checkpoint"), (b"hello", "is not a PyTorch checkpoint")],
)
def test_wrong_checkpoint(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    result = rvm_export("export", "--checkpoint", path, "--repository", tmp_path / "repository")
    assert_refused(result, 3, message)
    assert not (tmp_path / "repository").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu(tmp_path: Path) -> None:
    result = rvm_export("export", "--device", "cuda", "--repository", tmp_path)
    assert_refused(result, 2, "no GPU")


def test_wrong_option_values(tmp_path: Path) -> None:
    wrong = ("--version 0", "--precision int8", "--device tpu", "--layout nv12")
    for option in (text.split() for text in wrong):
        result = rvm_export("export", *option, "--repository", tmp_path)
        assert result.exit_code == 2
        assert "Invalid value" in result.stderr


def test_repository_from_the_environment(
    model_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_MODEL_REPOSITORY", str(model_repository))
    assert len(json.loads(rvm_export("list", "--json").output)) == 1


def test_repository_of_the_working_folder(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.rename(tmp_path / "model_repository")
    monkeypatch.delenv("RVM_MODEL_REPOSITORY", raising=False)
    monkeypatch.chdir(tmp_path)
    assert len(json.loads(rvm_export("list", "--json").output)) == 1


def test_cached_weights_say_what_differs(
    model_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be fetched here: neither a proxy nor npm is where the environment says."""
    assert model_repository.is_dir()
    cached = cache_folder() / "weights"
    monkeypatch.setenv("RVM_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(cached, tmp_path / "cache" / "weights")
    for name in ("rvm_mobilenetv3.pth", "rvm_mobilenetv3.pth.sha256"):
        (tmp_path / "cache" / "weights" / name).unlink(missing_ok=True)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("PATH", str(tmp_path))
    result = rvm_export("export", "--repository", tmp_path / "repository")
    assert result.exit_code == 0, result.output
    assert "fast guided filter" in result.stderr
    shutil.rmtree(tmp_path / "cache")
    assert_refused(rvm_export("export", "--repository", tmp_path / "r"), 3, "there is no npm")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_in_the_middle(
    official_checkpoint: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    command = [
        *COMMAND,
        "export",
        "--checkpoint",
        str(official_checkpoint),
        "--repository",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("Verifying" in line for line in lines)
        staged = [path for path in (tmp_path / MODEL_NAME).iterdir() if path.name[0] == "."]
        assert len(staged) == 1
        process.send_signal(stop)
        rest = process.stderr.read()
        assert process.wait(timeout=30) != 0
    assert "Traceback" not in rest
    left = {path.name for path in (tmp_path / MODEL_NAME).iterdir()}
    expected = {"config.pbtxt", "warmup"}
    assert left == (expected | {staged[0].name} if stop is signal.SIGKILL else expected)
