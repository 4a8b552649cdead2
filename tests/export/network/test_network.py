"""The plain network against the reference implementation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.tolerance import FLOAT_TOLERANCE, REFINED_TOLERANCE, assert_close

from rvm_export.network.mobilenetv3 import squeeze_channels
from rvm_export.network.network import MattingNetwork, fold_batch_norms
from rvm_export.verify.goldens import CASES, GoldenCase
from rvm_export.verify.verification import seeded_network
from rvm_export.weights.checkpoint import checkpoint_shapes
from rvm_export.weights.weights import Weights
from rvm_export.wire import Refiner, Variant

GOLDEN = Path(__file__).parents[2] / "golden"


def golden_network(case: GoldenCase, request: pytest.FixtureRequest) -> MattingNetwork:
    """With the weights of the case; those of the int8 release are fetched only when needed."""
    if case.seed is not None:
        return seeded_network(case.seed, case.variant)
    weights: Weights = request.getfixturevalue("weights")
    return weights.network()


@torch.inference_mode()
def run_floats(network: MattingNetwork, case: GoldenCase) -> tuple[Any, Any, list[Any]]:
    """fgr [T,3,H,W], pha [T,1,H,W] and r1..r4, all float."""
    src = torch.from_numpy(case.src).permute(0, 3, 1, 2)[None].float() / 255
    zero = torch.zeros(1, 1, 1, 1)
    states = (zero, zero, zero, zero)
    fgr, pha, start = [], [], 0
    for count in case.chunks:
        frames = src[:, start : start + count]
        foreground, alpha, states = network(frames, states, case.downsample_ratio)
        fgr.append(foreground[0])
        pha.append(alpha[0])
        start += count
    return torch.cat(fgr).numpy(), torch.cat(pha).numpy(), [state.numpy() for state in states]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("folded", [False, True], ids=["as loaded", "batch norms folded"])
def test_golden_floats(case: GoldenCase, folded: bool, request: pytest.FixtureRequest) -> None:
    network = golden_network(case, request)
    if folded:
        fold_batch_norms(network)
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
    fgr, pha, states = run_floats(network, case)
    golden = np.load(GOLDEN / f"{case.name}.npz")
    tolerance = FLOAT_TOLERANCE if case.downsample_ratio == 1 else REFINED_TOLERANCE
    assert_close(fgr[:, :, ::4, ::4], golden["fgr_grid"], "foreground", tolerance)
    assert_close(pha[:, :, ::4, ::4], golden["pha_grid"], "alpha", tolerance)
    assert_close(fgr.mean((2, 3)), golden["fgr_mean"], "mean of the foreground")
    assert_close(pha.mean((1, 2, 3)), golden["pha_mean"], "mean of alpha")
    assert_close(np.round(pha[:, 0] * 255).astype(np.uint8), golden["pha_u8"], "alpha in levels")
    # The golden states are thinned out as their file's description says.
    for state, step, name in zip(states, (4, 2, 1, 1), ("r1", "r2", "r3", "r4"), strict=True):
        assert_close(state[:, :, ::step, ::step], golden[name], name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_packaged_goldens_are_the_goldens(case: GoldenCase) -> None:
    """What `rvm-export` verifies with is what the tests verify with."""
    golden = np.load(GOLDEN / f"{case.name}.npz")
    assert list(case.chunks) == golden["chunks"].tolist()
    assert case.downsample_ratio == pytest.approx(float(golden["downsample_ratio"]))
    assert case.seed == (int(golden["seed"]) if "seed" in golden else None)
    np.testing.assert_array_equal(case.pha, golden["pha_u8"])
    levels = np.round(golden["fgr_grid"] * 255).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(case.fgr_grid, levels.astype(np.uint8))


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [(Variant.MOBILENETV3, 3_748_633), (Variant.RESNET50, 26_890_461)],
)
def test_keys_are_those_of_the_official_checkpoint(variant: Variant, parameters: int) -> None:
    network = MattingNetwork(Refiner.DEEP, variant)
    found = [(key, tuple(tensor.shape)) for key, tensor in network.state_dict().items()]
    assert dict(found) == checkpoint_shapes(variant)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("expanded", "squeezed"), [(16, 8), (72, 24), (120, 32), (480, 120), (672, 168), (960, 240)]
)
def test_squeeze_channels(expanded: int, squeezed: int) -> None:
    assert squeeze_channels(expanded) == squeezed
