"""What TF32 would do to the refiner: a GPU may round what float32 convolutions multiply.

TF32 keeps 10 bits of the mantissa behind the point, so 11 significant ones. Here they are cut on
the CPU, in every float32 convolution of the refiner.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rvm_export.network.network import MattingNetwork
from rvm_export.network.refiner import DeepGuidedFilter
from rvm_export.script.frame_model import FrameModel
from rvm_export.verify.goldens import INT8_CASES, SEED, GoldenCase
from rvm_export.verify.verification import seeded_network
from rvm_export.weights.weights import Weights

CASES = [case for case in INT8_CASES if case.downsample_ratio != 1]
DROPPED_BITS = 13


def as_tf32(x: Tensor) -> Tensor:
    """Rounded to the nearest of those with 11 significant bits."""
    if x.dtype is not torch.float32:
        return x
    bits = x.contiguous().view(torch.int32)
    half = 1 << (DROPPED_BITS - 1)
    return ((bits + half) & -(1 << DROPPED_BITS)).view(torch.float32)


@contextmanager
def tf32() -> Iterator[None]:
    real = F.conv2d

    def rounded(x: Tensor, weight: Tensor, *rest: Any, **more: Any) -> Tensor:
        return real(as_tf32(x), as_tf32(weight), *rest, **more)

    with mock.patch.object(F, "conv2d", rounded):
        yield


@torch.inference_mode()
def apart(network: MattingNetwork, case: GoldenCase) -> tuple[int, int]:
    """Levels that foreground and alpha move where the refiner's convolutions are rounded."""
    model = FrameModel(network, torch.float32).eval()
    refine = model.refiner.forward

    def refine_on_a_gpu(*tensors: Tensor) -> Any:
        with tf32():
            return refine(*tensors)

    frames = torch.from_numpy(case.src)
    ratio = torch.tensor([case.downsample_ratio])
    zero = torch.zeros(1, 1, 1, 1)
    exact = model(frames, 1, (zero, zero, zero, zero), ratio)
    with mock.patch.object(model.refiner, "forward", refine_on_a_gpu):
        moved = model(frames, 1, (zero, zero, zero, zero), ratio)
    fgr, pha = (
        int((before.int() - after.int()).abs().max())
        for before, after in zip(exact[:2], moved[:2], strict=True)
    )
    return fgr, pha


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_fast_guided_filter_is_not_moved(case: GoldenCase, weights: Weights) -> None:
    assert apart(weights.network(), case) == (0, 0)


@pytest.mark.parametrize("trained", [False, True], ids=["ninths", "trained"])
def test_the_deep_guided_filter_takes_its_means_exactly(trained: bool) -> None:
    """Its 1x1 convolutions may be rounded: they subtract nothing that is nearly equal."""
    refiner = seeded_network(SEED).refiner
    assert isinstance(refiner, DeepGuidedFilter)
    with torch.inference_mode():
        if trained:
            refiner.box_filter.weight *= torch.linspace(0.9, 1.1, 36).view(4, 1, 3, 3)
        refiner.settle()
        assert refiner.box_is_mean is not trained
        x = torch.rand(2, 4, 30, 40, generator=torch.Generator().manual_seed(1))
        exact = refiner.box_filter(x)
        with tf32():
            assert torch.allclose(refiner.box(x), exact, rtol=0, atol=1e-6)
            assert not torch.allclose(refiner.box_filter(x), exact, rtol=0, atol=1e-6)
