"""The TorchScript file: golden mattes, everything dynamic, readable refusals."""

from pathlib import Path

import pytest
import torch
from tests.support.tolerance import assert_close
from torch.jit import ScriptModule

from rvm_export import script
from rvm_export.errors import VerificationError
from rvm_export.network.network import MattingNetwork
from rvm_export.script.torchscript import RgbModel
from rvm_export.verify.differences import Tolerance, difference
from rvm_export.verify.goldens import CASES, INT8_CASES, RESNET50_SEED, SEED, GoldenCase
from rvm_export.verify.run import EagerModel, Matte, run
from rvm_export.verify.verification import (
    SHAPES,
    Subject,
    check_contract,
    check_splitting,
    seeded_network,
)
from rvm_export.weights.weights import Weights
from rvm_export.wire import Layout, Precision, Variant

FP32, FP16 = torch.float32, torch.float16


def saved(network: MattingNetwork, dtype: torch.dtype, folder: Path) -> ScriptModule:
    path = folder / "model.pt"
    torch.jit.save(script.script(network, dtype, Layout.RGB), path)
    return script.load(path, "cpu")


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> ScriptModule:
    """Deep guided filter, float32, through a file."""
    return saved(seeded_network(SEED), FP32, tmp_path_factory.mktemp("seeded"))


@pytest.fixture(scope="module")
def seeded_resnet50(tmp_path_factory: pytest.TempPathFactory) -> ScriptModule:
    """As `seeded`, of the ResNet50 variant."""
    network = seeded_network(RESNET50_SEED, Variant.RESNET50)
    return saved(network, FP32, tmp_path_factory.mktemp("resnet50"))


@pytest.fixture(scope="module")
def real(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> ScriptModule:
    """The int8 release, fast guided filter, float32, through a file."""
    return saved(weights.network(), FP32, tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def real_half(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> ScriptModule:
    """The same in float16."""
    return saved(weights.network(), FP16, tmp_path_factory.mktemp("half"))


def matte(model: ScriptModule, case: GoldenCase, dtype: torch.dtype = FP32) -> Matte:
    src = torch.from_numpy(case.src)[None]
    return run(model, src, case.downsample_ratio, case.chunks, dtype)


def noise(videos: int, count: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (videos, count, height, width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_mattes(case: GoldenCase, request: pytest.FixtureRequest) -> None:
    seeded = "seeded" if case.variant is Variant.MOBILENETV3 else "seeded_resnet50"
    result = matte(request.getfixturevalue("real" if case.seed is None else seeded), case)
    assert_close(result.pha[0, ..., 0].numpy(), case.pha, "alpha")
    assert_close(result.fgr[0, :, ::4, ::4].numpy(), case.fgr_grid, "foreground")


@pytest.mark.parametrize("optimized", [False, True])
def test_golden_matte_with_either_executor(real: ScriptModule, optimized: bool) -> None:
    case = CASES[2]
    with torch.jit.optimized_execution(optimized):  # type: ignore[attr-defined]
        result = matte(real, case)
    assert_close(result.pha[0, ..., 0].numpy(), case.pha, "alpha")


@pytest.mark.parametrize("case", INT8_CASES, ids=lambda case: case.name)
def test_half_precision(real_half: ScriptModule, case: GoldenCase) -> None:
    result = matte(real_half, case, FP16)
    assert {state.dtype for state in result.states} == {FP16}
    grid = result.fgr[0, :, ::4, ::4]
    golden = (torch.from_numpy(case.fgr_grid), torch.from_numpy(case.pha))
    Tolerance(2, 0.2, 2).check(difference((grid, result.pha[0, ..., 0]), golden), case.name)


def test_resnet50_in_half_precision() -> None:
    """Scripting it is tested in float32; what half costs, the modules alone show."""
    (case,) = (case for case in CASES if case.variant is Variant.RESNET50)
    model = RgbModel(seeded_network(RESNET50_SEED, Variant.RESNET50), FP16).eval()
    result = run(model, torch.from_numpy(case.src)[None], case.downsample_ratio, case.chunks, FP16)
    grid = result.fgr[0, :, ::4, ::4]
    golden = (torch.from_numpy(case.fgr_grid), torch.from_numpy(case.pha))
    Tolerance(1, 0.05, 1).check(difference((grid, result.pha[0, ..., 0]), golden), case.name)


def test_resnet50_keeps_the_contract(seeded_resnet50: ScriptModule) -> None:
    wire = (Layout.RGB, Precision.FP32, "cpu")
    check_contract(seeded_resnet50, Subject(seeded_resnet50, *wire, Variant.RESNET50))
    check_splitting(Subject(seeded_resnet50, *wire))
    with pytest.raises(VerificationError, match=r"fgr.* are .*, not "):
        check_contract(seeded_resnet50, Subject(seeded_resnet50, *wire))


@pytest.mark.parametrize(
    ("videos", "count", "height", "width", "ratio"),
    [*SHAPES, (1, 3, 16, 16, 0.07), (1, 1, 1, 1, 1.0), (1, 2, 100, 60, 0.7), (2, 1, 7, 300, 0.5)],
)
def test_every_size_ratio_and_batch_equals_eager(
    seeded: ScriptModule, videos: int, count: int, height: int, width: int, ratio: float
) -> None:
    src = noise(videos, count, height, width)
    expected = run(EagerModel(seeded_network(SEED)), src, ratio, [count], FP32)
    actual = run(seeded, src, ratio, [count], FP32)
    assert_close(actual.fgr.numpy(), expected.fgr.numpy(), "foreground")
    assert_close(actual.pha.numpy(), expected.pha.numpy(), "alpha")
    for ours, theirs in zip(actual.states, expected.states, strict=True):
        assert_close(ours.numpy(), theirs.numpy(), "state")


def test_splitting_does_not_change_the_result(real: ScriptModule) -> None:
    src = torch.from_numpy(INT8_CASES[0].src).repeat(2, 1, 1, 1)[None]
    whole, single = run(real, src, 0.5, [8], FP32), run(real, src, 0.5, [1] * 8, FP32)
    mixed = run(real, src, 0.5, [3, 3, 2], FP32)
    for other in (single, mixed):
        assert_close(other.fgr.numpy(), whole.fgr.numpy(), "foreground")
        assert_close(other.pha.numpy(), whole.pha.numpy(), "alpha")


def test_videos_of_a_batch_do_not_disturb_each_other(seeded: ScriptModule) -> None:
    src = noise(3, 2, 48, 64)
    together = run(seeded, src, 0.5, [1, 1], FP32)
    for video in range(3):
        alone = run(seeded, src[video : video + 1], 0.5, [1, 1], FP32)
        assert_close(together.pha[video].numpy(), alone.pha[0].numpy(), "alpha")
        assert_close(together.states[0][video].numpy(), alone.states[0][0].numpy(), "r1")


def test_the_state_matters(real: ScriptModule) -> None:
    """A model that ignored its state would pass every test of splitting."""
    case = INT8_CASES[2]
    src = torch.from_numpy(case.src)[None]
    carried = run(real, src, 0.5, [1, 1, 1], FP32)
    forgotten = run(real, src[:, 2:], 0.5, [1], FP32)
    assert (carried.pha[:, 2:].int() - forgotten.pha.int()).abs().max() > 8


def test_ratio_means_its_decimal_number(seeded: ScriptModule) -> None:
    """float32 has 0.69999999 for 0.7, and 30 * 0.69999999 is below 21."""
    states = run(seeded, noise(1, 1, 30, 30), 0.7, [1], FP32).states
    assert states[0].shape[2:] == (11, 11)


def test_no_device_is_baked_in(real: ScriptModule) -> None:
    assert "Device = prim::Constant" not in str(real.graph)


def test_inputs_are_named_in_the_order_of_the_contract(real: ScriptModule) -> None:
    subject = Subject(real, Layout.RGB, Precision.FP32)
    check_contract(real, subject)
    check_splitting(subject)
    names = [argument.debugName() for argument in real.graph.inputs()]
    assert [name.split(".")[0] for name in names][1:] == list(Layout.RGB.inputs)


@pytest.mark.parametrize("ratio", [0.0, -0.5, 1.5, float("nan")])
def test_wrong_ratio_is_refused(seeded: ScriptModule, ratio: float) -> None:
    with pytest.raises(torch.jit.Error, match=r"downsample_ratio is .* at most 1"):
        run(seeded, noise(1, 1, 32, 32), ratio, [1], FP32)


def test_ratio_that_leaves_no_pixel_is_refused(seeded: ScriptModule) -> None:
    with pytest.raises(torch.jit.Error, match="leaves nothing"):
        run(seeded, noise(1, 1, 32, 32), 0.03, [1], FP32)


def test_state_of_another_size_is_refused(seeded: ScriptModule) -> None:
    states = run(seeded, noise(1, 1, 32, 32), 0.5, [1], FP32).states
    arguments = (noise(1, 1, 64, 32), *states, torch.tensor([0.5]))
    with pytest.raises(torch.jit.Error, match=r"r1i has the shape \[1, 16, 8, 8\].*\[1, 16, 16, 8"):
        seeded(*arguments)


@pytest.mark.parametrize("shape", [(1, 32, 32, 3), (1, 0, 32, 32, 3), (1, 1, 32, 32, 4)])
def test_frames_of_another_shape_are_refused(seeded: ScriptModule, shape: tuple[int, ...]) -> None:
    zero = torch.zeros(1, 1, 1, 1)
    src = torch.zeros(shape, dtype=torch.uint8)
    with pytest.raises(torch.jit.Error, match="src has the shape"):
        seeded(src, zero, zero, zero, zero, torch.tensor([0.5]))
