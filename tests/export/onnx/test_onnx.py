"""The ONNX model by ONNX Runtime: the wire contract, any size, T and ratio; and its repository."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import Result
from google.protobuf import text_format
from onnx import TensorProto, helper, numpy_helper, parser
from tests.support.commands import invoke
from torch import Tensor
from tritonclient.grpc import model_config_pb2

from rvm_export.cli import main
from rvm_export.config import onnx_repository
from rvm_export.errors import UsageError, VerificationError
from rvm_export.hashes import sha256_of
from rvm_export.network import DeepGuidedFilter
from rvm_export.onnx import OPSET, OnnxModel, check_packages, graph, load, packages
from rvm_export.onnx.working_size import coefficients
from rvm_export.onnx.writing import quiet
from rvm_export.repository import check_formats, prepare_config
from rvm_export.repository.repository import Repository
from rvm_export.verify import INT8_CASES, SEED, Subject, seeded_network
from rvm_export.verify.verification import expected_outputs, pictures
from rvm_export.wire import ONNX_KINDS, OUTPUTS, Format, Layout, ModelKind, Precision

KIND = ModelKind(format=Format.ONNX)
SCRIPT = ModelKind()


def rvm_export(*arguments: object) -> Result:
    return invoke(main, *arguments)


@pytest.fixture(scope="module")
def folder(onnx_model_repository: Path) -> Path:
    return onnx_model_repository / KIND.name


@pytest.fixture(scope="module")
def model(folder: Path) -> OnnxModel:
    return load(folder / "1" / "model.onnx")


@pytest.fixture(scope="module")
def subject(model: OnnxModel) -> Subject:
    return Subject(model, Layout.RGB, Precision.FP32)


# --- what is published


def test_published_beside_its_config(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"1", "config.pbtxt", "warmup"}
    version = folder / "1"
    assert {path.name for path in version.iterdir()} == {
        "golden.npz", "manifest.json", "model.onnx",
    }  # fmt: skip
    manifest = json.loads((version / "manifest.json").read_text())
    assert manifest["model_sha256"] == sha256_of(version / "model.onnx")
    assert (manifest["format"], manifest["format_version"]) == ("onnx", OPSET)
    assert {"onnx", "onnxscript", "onnxruntime"} < manifest["toolchain"].keys()
    for measured in ("difference_from_eager", "difference_from_golden"):
        assert manifest[measured]["pha_max"] <= 1
        assert 0 < manifest[measured]["fgr_mean"] < 0.01


def test_config_says_what_the_graph_says(folder: Path) -> None:
    """Names, order, types and sizes, as Triton's own protobuf reads them."""
    text = (folder / "config.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert (config.name, config.backend) == (KIND.name, "onnxruntime")
    assert (config.platform, config.max_batch_size) == ("onnxruntime_onnx", 0)
    values = onnx.load(str(folder / "1" / "model.onnx")).graph
    types = {
        TensorProto.UINT8: model_config_pb2.TYPE_UINT8,
        TensorProto.FLOAT: model_config_pb2.TYPE_FP32,
    }
    for said, found in ((config.input, values.input), (config.output, values.output)):
        for tensor, value in zip(said, found, strict=True):
            kind = value.type.tensor_type
            dims = [d.dim_value or -1 for d in kind.shape.dim]
            assert (tensor.name, tensor.data_type) == (value.name, types[kind.elem_type])
            assert list(tensor.dims) == dims, tensor.name
    assert [tensor.name for tensor in config.output] == list(OUTPUTS)
    (warmup,) = config.model_warmup
    assert set(warmup.inputs) == {tensor.name for tensor in config.input}


def test_the_config_of_each_variant_and_precision(tmp_path: Path) -> None:
    for kind in ONNX_KINDS:
        made = tmp_path / kind.name
        made.mkdir()
        prepare_config(made, kind, Precision.FP16)
        text = (made / "config.pbtxt").read_text()
        config = text_format.Parse(text, model_config_pb2.ModelConfig())
        assert config.name == kind.name
        states = {tensor.data_type for tensor in (*config.input[1:5], *config.output[2:])}
        assert states == {model_config_pb2.TYPE_FP16}


def test_list_and_verify_know_it(onnx_model_repository: Path) -> None:
    listed = rvm_export("list", "--json", "--repository", onnx_model_repository)
    assert [(row["model"], row["version"]) for row in json.loads(listed.output)] == [(KIND.name, 1)]
    result = rvm_export("verify", "--repository", onnx_model_repository)
    assert result.exit_code == 0, result.output
    sound = "version 1 is sound: hash, contract, splitting, golden mattes."
    assert result.stdout == f"{KIND.name} {sound}\n"


def test_a_model_that_computes_something_else_is_found(folder: Path, tmp_path: Path) -> None:
    version = tmp_path / KIND.name / "1"
    shutil.copytree(folder / "1", version)
    changed = onnx.load(str(version / "model.onnx"))
    weight = next(w for w in changed.graph.initializer if len(w.dims) == 4 and w.dims[0] == 4)
    weight.CopyFrom(numpy_helper.from_array(1.1 * numpy_helper.to_array(weight), weight.name))
    onnx.save(changed, str(version / "model.onnx"))
    manifest = json.loads((version / "manifest.json").read_text())
    manifest["model_sha256"] = sha256_of(version / "model.onnx")
    (version / "manifest.json").write_text(json.dumps(manifest))
    result = rvm_export("verify", "--repository", tmp_path)
    assert result.exit_code == 4
    assert "golden case" in result.stderr


def test_it_travels_in_an_archive(
    onnx_model_repository: Path, model_repository: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "onnx.tar.gz"
    packed = rvm_export("package", "1", "-o", archive, "--repository", onnx_model_repository)
    assert packed.exit_code == 0, packed.output
    mixed = rvm_export("import", archive, "--version", "2", "--repository", model_repository)
    assert mixed.exit_code == 2
    assert "a repository of its own" in mixed.stderr
    result = rvm_export("import", archive, "--repository", tmp_path / "there")
    assert result.exit_code == 0, result.output
    there = tmp_path / "there" / KIND.name / "1" / "model.onnx"
    assert sha256_of(there) == sha256_of(onnx_model_repository / KIND.name / "1" / "model.onnx")


# --- what stays free


@pytest.mark.parametrize(
    ("videos", "count", "height", "width", "ratio"),
    [(1, 1, 31, 47, 0.5), (3, 2, 96, 64, 0.77), (2, 5, 40, 40, 1.0), (1, 3, 270, 480, 0.266667)],
)
def test_any_batch_length_size_and_ratio(
    subject: Subject, videos: int, count: int, height: int, width: int, ratio: float
) -> None:
    generator = torch.Generator().manual_seed(1)
    shape = (videos, count, height, width, 3)
    rgb = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    matte = subject.matte(rgb, ratio, [count])
    found = [(tuple(t.shape), t.dtype) for t in (matte.fgr, matte.pha, *matte.states)]
    assert found == expected_outputs(tuple(pictures(rgb, Layout.RGB).shape), ratio, Precision.FP32)


def test_requests_of_any_length_give_the_same(subject: Subject) -> None:
    case = INT8_CASES[0]
    rgb = torch.from_numpy(case.src)[None]
    together = subject.matte(rgb, case.downsample_ratio, [4])
    alone = subject.matte(rgb, case.downsample_ratio, [1, 1, 1, 1])
    for one, other in ((together.pha, alone.pha), (together.fgr, alone.fgr)):
        assert (one.int() - other.int()).abs().max() <= 1


def test_the_working_size_is_that_of_the_ratio_that_was_meant() -> None:
    """In float32 0.7 of 1280 is 895.99998; every product has to be cut off where it should be."""
    into = parser.parse_graph(graph.INTO)
    model = helper.make_model(into, ir_version=10, opset_imports=[helper.make_opsetid("", OPSET)])
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    pairs = [(1280, 700_000), (1537, 333_116), (9999, 123_457), (1920, 266_667), (1000, 1_000_000)]
    pairs += [
        (int(w), int(r))
        for w, r in zip(
            rng.integers(64, 8192, 300), rng.integers(20_000, 1_000_001, 300), strict=True
        )
    ]
    # Products that are whole numbers are those that rounding gets wrong.
    pairs += [
        (int(w), int(p) * 10_000)
        for w, p in zip(rng.integers(1, 80, 200) * 100, rng.integers(2, 101, 200), strict=True)
    ]
    for width, millionths in pairs:
        rows = -(-1_000_000 // millionths)
        feed = {
            "src": np.zeros((1, 1, rows, width, 3), np.uint8),
            "downsample_ratio": np.array([millionths / 1e6], np.float32),
        }
        image = session.run(["image"], feed)[0]
        expected = (1, 3, rows * millionths // 1_000_000, width * millionths // 1_000_000)
        assert image.shape == expected, (width, millionths)


class Refine(torch.nn.Module):
    """The refiner alone, as the ONNX model has it."""

    def __init__(self, refiner: torch.nn.Module) -> None:
        super().__init__()
        self.refiner = refiner

    def forward(self, image: Tensor, y: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return coefficients(self.refiner, image, y, hidden)


@pytest.mark.parametrize("is_mean", [True, False])
def test_the_deep_guided_filter_is_that_of_the_network(is_mean: bool, tmp_path: Path) -> None:
    """Official weights have it; training may have moved its box filter."""
    refiner = seeded_network(SEED).refiner
    assert isinstance(refiner, DeepGuidedFilter)
    if not is_mean:
        torch.nn.init.uniform_(refiner.box_filter.weight, 0.05, 0.2)
    refiner.settle()
    assert refiner.box_is_mean == is_mean
    torch.manual_seed(0)
    inputs = tuple(torch.rand(2, channels, 20, 30) for channels in (3, 4, 16))
    path = tmp_path / "refiner.onnx"
    names = ["image", "y", "hidden"]
    with quiet():
        torch.onnx.export(
            Refine(refiner).eval(), inputs, path, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=names, external_data=False,
        )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {n: x.numpy() for n, x in zip(names, inputs, strict=True)})
    with torch.no_grad():
        expected = refiner(*inputs)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=1e-4)


# --- what is refused


@pytest.fixture
def of_each_format(tmp_path: Path) -> dict[Format, Path]:
    """A repository with a version of each format, as far as names go."""
    paths = {kind.format: tmp_path / kind.format.value for kind in (SCRIPT, KIND)}
    for kind in (SCRIPT, KIND):
        (paths[kind.format] / kind.name / "1").mkdir(parents=True)
    return paths


def test_the_two_formats_do_not_share_a_repository(
    of_each_format: dict[Format, Path], rvm_json: Path
) -> None:
    for format_, other in ((Format.ONNX, SCRIPT), (Format.TORCHSCRIPT, KIND)):
        path = of_each_format[other.format]
        where = ("--checkpoint", rvm_json, "--repository", path)
        result = rvm_export("export", "--format", format_.value, *where)
        assert result.exit_code == 2
        (error,) = result.stderr.splitlines()
        assert f"{path} has the model {other.name}" in error
        assert "a repository of its own with --repository" in error
        assert [child.name for child in path.iterdir()] == [other.name]
    check_formats(Repository(of_each_format[Format.ONNX], KIND))
    check_formats(Repository(of_each_format[Format.TORCHSCRIPT], SCRIPT))


def test_by_default_it_goes_beside_the_models_for_the_usual_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_MODEL_REPOSITORY", str(tmp_path / "models"))
    assert onnx_repository() == tmp_path / "models_onnx"


@pytest.mark.parametrize("layout", ["yuv", "both"])
def test_there_is_no_onnx_of_the_yuv_layout(layout: str, tmp_path: Path) -> None:
    result = rvm_export("export", "--format", "onnx", "--layout", layout, "--repository", tmp_path)
    assert result.exit_code == 2
    assert "has no layout yuv" in result.stderr
    assert not list(tmp_path.iterdir())


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_packages()
    monkeypatch.setattr(packages, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(UsageError, match=r"no package no_such_package; pip install .*onnx"):
        check_packages()
    monkeypatch.undo()
    monkeypatch.setattr(packages, "OLDEST_TORCH", "99.0")
    with pytest.raises(UsageError, match=r"needs PyTorch 99\.0 or newer"):
        check_packages()


def test_a_file_that_is_no_onnx(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"hello")
    with pytest.raises(VerificationError, match="ONNX Runtime does not take"):
        load(tmp_path / "model.onnx")
