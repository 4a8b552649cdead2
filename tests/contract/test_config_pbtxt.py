"""`config.pbtxt`, read by Triton's own protobuf, against the model that is exported."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from rvm_client import wire
from rvm_export import script
from rvm_export.errors import RepositoryError
from rvm_export.network import WIDTHS
from rvm_export.repository.config_pbtxt import (
    packaged_config,
    packaged_folder,
    precision_of,
    with_precision,
)
from rvm_export.verify.goldens import RESNET50_SEED
from rvm_export.verify.run import run
from rvm_export.verify.verification import seeded_network
from rvm_export.wire import (
    KINDS,
    OUTPUTS,
    STATES_IN,
    STATES_OUT,
    Layout,
    ModelKind,
    Precision,
    Variant,
)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> ModelKind:
    """Each model in turn."""
    found: ModelKind = request.param
    return found


@pytest.fixture(scope="module")
def layout(kind: ModelKind) -> Layout:
    return kind.layout


@pytest.fixture(scope="module")
def text(kind: ModelKind) -> str:
    return packaged_config(kind)


@pytest.fixture(scope="module")
def config(text: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.fixture(scope="module")
def model(kind: ModelKind, yuv_model_repository: Path) -> torch.jit.ScriptModule:
    if kind.variant is Variant.RESNET50:
        network = seeded_network(RESNET50_SEED, kind.variant)
        return script.script(network, torch.float32, kind.layout)
    return script.load(yuv_model_repository / kind.name / "1" / "model.pt", "cpu")


def test_names_of_export_and_config_agree(
    kind: ModelKind, config: model_config_pb2.ModelConfig
) -> None:
    assert config.name == kind.name
    assert tuple(t.name for t in config.input) == kind.layout.inputs
    assert tuple(t.name for t in config.output) == OUTPUTS


def test_variants_differ_in_their_name_alone(text: str, kind: ModelKind) -> None:
    of_mobilenetv3 = (packaged_folder(kind) / "config.pbtxt").read_text()
    assert f'name: "{kind.name}"' in text
    if kind.variant is Variant.MOBILENETV3:
        assert text == of_mobilenetv3
        return
    changed = [
        (before, now)
        for before, now in zip(of_mobilenetv3.splitlines(), text.splitlines(), strict=True)
        if before != now
    ]
    assert all(
        before.lower().replace("mobilenetv3", "resnet50") == now.lower() for before, now in changed
    )
    assert "mobilenetv3" not in text


def test_names_of_export_and_client_agree() -> None:
    assert [kind.name for kind in KINDS] == [*wire.MODELS]
    assert [*wire.MODELS][:2] == [wire.MODEL_NAME, wire.YUV_MODEL_NAME]
    assert [kind.layout.inputs for kind in KINDS] == [m.inputs for m in wire.MODELS.values()]
    assert (Layout.RGB.inputs, Layout.YUV.inputs) == (wire.INPUTS, wire.YUV_INPUTS)
    assert (wire.FGR, wire.PHA, *wire.STATE_OUTPUTS) == OUTPUTS
    for ours, theirs in zip(KINDS, wire.MODELS.values(), strict=True):
        assert WIDTHS[ours.variant].states == theirs.state_channels


def test_inputs_are_those_of_forward(
    config: model_config_pb2.ModelConfig, model: torch.jit.ScriptModule
) -> None:
    """NVIDIA's backend takes them in this order, and takes nothing but tensors."""
    arguments = model.forward.schema.arguments[1:]  # type: ignore[attr-defined]
    assert [argument.name for argument in arguments] == [t.name for t in config.input]
    assert {str(argument.type) for argument in arguments} == {"Tensor"}
    assert not any("__" in t.name for t in (*config.input, *config.output))


def test_outputs_are_what_forward_returns(
    config: model_config_pb2.ModelConfig, model: torch.jit.ScriptModule
) -> None:
    returned = model.forward.schema.returns  # type: ignore[attr-defined]
    assert [str(value.type) for value in returned] == [f"Tuple[{', '.join(['Tensor'] * 6)}]"]
    assert_runs(model, config, [2, 1, 30, 20, 3][: len(config.input[0].dims)], 0.5)


def assert_runs(
    model: torch.jit.ScriptModule,
    config: model_config_pb2.ModelConfig,
    shape: list[int],
    ratio: float,
) -> None:
    """On zeros of this shape, with outputs of the types and fixed sizes of the config."""
    dims = {tensor.name: list(tensor.dims) for tensor in config.input}
    src = torch.zeros(shape, dtype=torch.uint8)
    matrices = [torch.zeros(dims[name]) for name in ("to_rgb", "from_rgb") if name in dims]
    matte = run(model, src, ratio, [shape[1]], torch.float32, matrices=matrices)
    assert matte.fgr.shape == src.shape
    tensors = (matte.fgr, matte.pha, *matte.states)
    for expected, actual in zip(config.output, tensors, strict=True):
        dtype = torch.uint8 if expected.data_type == model_config_pb2.TYPE_UINT8 else torch.float32
        assert actual.dtype == dtype
        fixed = zip(expected.dims, actual.shape, strict=True)
        assert all(size in (-1, found) for size, found in fixed)


def test_batch_is_explicit_and_dims_are_free(
    layout: Layout, config: model_config_pb2.ModelConfig
) -> None:
    assert config.max_batch_size == 0
    dims = {tensor.name: list(tensor.dims) for tensor in config.input}
    assert dims["src"] == [-1, -1, -1, -1, *([3] if layout is Layout.RGB else [])]
    assert dims["downsample_ratio"] == [1]
    assert all(dims[name] == [-1] * 4 for name in STATES_IN)
    assert all(dims[name] == [3, 4] for name in layout.inputs[6:])


def test_backend_runs_torchscript_on_any_device(config: model_config_pb2.ModelConfig) -> None:
    assert (config.backend, config.platform) == ("pytorch", "pytorch_libtorch")
    assert [group.kind for group in config.instance_group] == [
        model_config_pb2.ModelInstanceGroup.KIND_AUTO
    ]


def test_warm_up_is_complete_and_is_not_skipped(
    layout: Layout, config: model_config_pb2.ModelConfig
) -> None:
    assert config.model_warmup
    for warmup in config.model_warmup:
        # batch_size 0 would be skipped without a word.
        assert (warmup.batch_size, warmup.count >= 2) == (1, True)
        assert set(warmup.inputs) == set(layout.inputs)
        for tensor in config.input:
            data = warmup.inputs[tensor.name]
            assert data.data_type == tensor.data_type
            assert all(size > 0 for size in data.dims)
        ratio = np.fromfile(_warmup_file(layout, warmup), np.float32)
        assert ratio.shape == (1,)
        assert 0 < ratio[0] <= 1


def test_warm_up_runs(
    layout: Layout, config: model_config_pb2.ModelConfig, model: torch.jit.ScriptModule
) -> None:
    for warmup in config.model_warmup:
        ratio = float(np.fromfile(_warmup_file(layout, warmup), np.float32)[0])
        assert_runs(model, config, list(warmup.inputs["src"].dims), ratio)


def _warmup_file(layout: Layout, warmup: model_config_pb2.ModelWarmup) -> Path:
    file: str = warmup.inputs["downsample_ratio"].input_data_file
    return packaged_folder(ModelKind(layout=layout)) / "warmup" / file


def test_half_precision_changes_the_states_and_nothing_else(text: str) -> None:
    half = with_precision(text, Precision.FP16)
    assert precision_of(text) is Precision.FP32
    assert precision_of(half) is Precision.FP16
    assert with_precision(half, Precision.FP32) == text
    config = text_format.Parse(half, model_config_pb2.ModelConfig())
    types = {tensor.name: tensor.data_type for tensor in (*config.input, *config.output)}
    states = {*STATES_IN, *STATES_OUT}
    assert {name for name, found in types.items() if found == model_config_pb2.TYPE_FP16} == states
    for warmup in config.model_warmup:
        found = {n for n, v in warmup.inputs.items() if v.data_type == model_config_pb2.TYPE_FP16}
        assert found == set(STATES_IN)


@pytest.mark.parametrize("spoil", [r'"r\d[io]"', r"TYPE_FP32(?=.*r2o)"])
def test_config_without_clear_states_is_refused(text: str, spoil: str) -> None:
    replacement = "TYPE_INT8" if "TYPE" in spoil else '"x"'
    spoiled = re.sub(spoil, replacement, text, flags=re.DOTALL)
    with pytest.raises(RepositoryError, match="gives the states the types"):
        precision_of(spoiled)
