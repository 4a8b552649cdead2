"""The YUV layout: its conversions by definition, and the same mattes as the RGB layout."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tests.support.tolerance import assert_close
from torch import Tensor
from torch.jit import ScriptModule

from rvm_export import script
from rvm_export.script import full_resolution, i420
from rvm_export.verify import yuv_reference
from rvm_export.verify.goldens import INT8_CASES, GoldenCase
from rvm_export.verify.run import Matte, run
from rvm_export.verify.verification import Subject, check_contract, check_splitting
from rvm_export.weights.weights import Weights
from rvm_export.wire import Layout, Precision

FP32, FP16 = torch.float32, torch.float16
# BT.601 in full range, as JPEG has it: another matrix and another range than the yardstick's.
FULL_RANGE_TO_RGB = np.array(
    [[1, 0, 1.402, -179.456], [1, -0.344136, -0.714136, 135.458816], [1, 1.772, 0, -226.816]]
)
MATRICES = {"BT.709 limited": yuv_reference.TO_RGB, "BT.601 full": FULL_RANGE_TO_RGB}
EXACT = [
    torch.from_numpy(matrix).float() for matrix in (yuv_reference.TO_RGB, yuv_reference.FROM_RGB)
]


def saved(weights: Weights, layout: Layout, dtype: torch.dtype, folder: Path) -> ScriptModule:
    path = folder / f"{layout.value}.pt"
    torch.jit.save(script.script(weights.network(), dtype, layout), path)
    return script.load(path, "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def rgb_model(weights: Weights, folder: Path) -> ScriptModule:
    """The int8 release in the RGB layout, through a file."""
    return saved(weights, Layout.RGB, FP32, folder)


@pytest.fixture(scope="module")
def yuv_model(weights: Weights, folder: Path) -> ScriptModule:
    """The same in the YUV layout."""
    return saved(weights, Layout.YUV, FP32, folder)


@pytest.fixture(scope="module")
def half_model(weights: Weights, folder: Path) -> ScriptModule:
    """The same in the YUV layout and float16."""
    return saved(weights, Layout.YUV, FP16, folder)


def noise(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def planes_of(case: GoldenCase) -> Tensor:
    even = case.src[:, : case.size[0] // 2 * 2, : case.size[1] // 2 * 2]
    return torch.from_numpy(yuv_reference.to_i420(even))[None]


def assert_same_mattes(ours: Matte, rgb: Matte) -> None:
    """Of the YUV layout, and of the RGB layout with the RGB of the same planes."""
    assert_close(ours.pha.numpy(), rgb.pha.numpy(), "alpha")
    planes = yuv_reference.to_i420(rgb.fgr.numpy())
    assert_close(ours.fgr.numpy(), planes, "planes of the foreground")


@pytest.mark.parametrize(("height", "width"), [(48, 64), (46, 62), (2, 2), (2, 500), (1080, 4)])
@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_to_rgb(matrix: npt.NDArray[np.float64], height: int, width: int) -> None:
    packed = noise(3, height * 3 // 2, width)
    rgb = i420.rgb_frames(packed, torch.from_numpy(matrix).float())
    assert_close(rgb.numpy(), yuv_reference.to_rgb(packed.numpy(), matrix), "rgb")


@pytest.mark.parametrize(("height", "width"), [(48, 64), (46, 62), (2, 2), (2, 500), (1080, 4)])
@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_from_rgb(matrix: npt.NDArray[np.float64], height: int, width: int) -> None:
    inverse = np.linalg.inv(matrix[:, :3])
    from_rgb = np.column_stack([inverse, -inverse @ matrix[:, 3]])
    rgb, like = noise(3, height, width, 3), noise(3, height * 3 // 2, width)
    packed = i420.packed_frames(rgb, torch.from_numpy(from_rgb).float(), like)
    assert_close(packed.numpy(), yuv_reference.to_i420(rgb.numpy(), from_rgb), "planes")


def test_known_colours() -> None:
    """By hand: ITU-T H.273 has BT.709 red, limited, at Y 63, U 102, V 240."""
    rgb = torch.tensor([[255, 0, 0], [255, 255, 255], [0, 0, 0]], dtype=torch.uint8)
    frames = rgb.view(3, 1, 1, 3).expand(3, 2, 2, 3).contiguous()
    expected = [[63] * 4 + [102, 240], [235] * 4 + [128] * 2, [16] * 4 + [128] * 2]
    packed = i420.packed_frames(frames, EXACT[1], noise(3, 3, 2))
    assert packed.flatten(1).tolist() == expected
    back = i420.rgb_frames(packed, EXACT[0])
    assert (back.int() - frames.int()).abs().max() <= 1


@pytest.mark.parametrize("case", INT8_CASES, ids=lambda case: case.name)
def test_mattes_are_those_of_the_rgb_layout(
    yuv_model: ScriptModule, rgb_model: ScriptModule, case: GoldenCase
) -> None:
    src = planes_of(case)
    ours = run(yuv_model, src, case.downsample_ratio, case.chunks, FP32, matrices=EXACT)
    rgb = torch.from_numpy(yuv_reference.to_rgb(src.numpy()))
    theirs = run(rgb_model, rgb, case.downsample_ratio, case.chunks, FP32)
    assert_same_mattes(ours, theirs)
    for state, expected in zip(ours.states, theirs.states, strict=True):
        assert_close(state.numpy(), expected.numpy(), "state")


def test_matrices_are_the_callers(yuv_model: ScriptModule, rgb_model: ScriptModule) -> None:
    """With ones in the diagonal the planes are those of red, green and blue."""
    identity = torch.eye(3, 4)
    src = planes_of(INT8_CASES[0])[:, :1]
    ours = run(yuv_model, src, 0.5, [1], FP32, matrices=[identity, identity])
    rgb = torch.from_numpy(yuv_reference.to_rgb(src.numpy(), identity.double().numpy()))
    theirs = run(rgb_model, rgb, 0.5, [1], FP32)
    luma, _ = i420.planes(ours.fgr[0])
    assert_close(luma.numpy(), theirs.fgr[0, ..., 0].numpy(), "red")
    assert_close(ours.pha.numpy(), theirs.pha.numpy(), "alpha")


def test_contract_and_splitting(yuv_model: ScriptModule) -> None:
    """In float16 `rvm-export verify` does the same, see test_cli."""
    subject = Subject(yuv_model, Layout.YUV, Precision.FP32)
    check_contract(yuv_model, subject)
    check_splitting(subject)


def test_half_precision(half_model: ScriptModule, yuv_model: ScriptModule) -> None:
    src = planes_of(INT8_CASES[0])
    half = run(half_model, src, 0.5, [2, 2], FP16, matrices=EXACT)
    full = run(yuv_model, src, 0.5, [2, 2], FP32, matrices=EXACT)
    assert {state.dtype for state in half.states} == {FP16}
    assert (half.pha.int() - full.pha.int()).abs().max() <= 2
    assert (half.fgr.int() - full.fgr.int()).abs().max() <= 2


@pytest.mark.parametrize(
    ("videos", "count", "height", "width", "ratio"),
    [(2, 3, 98, 130, 0.6), (1, 2, 46, 80, 0.25), (3, 1, 34, 18, 1.0), (1, 1, 2, 2, 1.0)],
)
def test_every_size_ratio_and_batch(
    yuv_model: ScriptModule,
    rgb_model: ScriptModule,
    videos: int,
    count: int,
    height: int,
    width: int,
    ratio: float,
) -> None:
    src = noise(videos, count, height * 3 // 2, width)
    ours = run(yuv_model, src, ratio, [count], FP32, matrices=EXACT)
    rgb = torch.from_numpy(yuv_reference.to_rgb(src.numpy()))
    assert_same_mattes(ours, run(rgb_model, rgb, ratio, [count], FP32))


def test_source_that_is_not_contiguous(yuv_model: ScriptModule) -> None:
    wide = noise(1, 2, 48, 80)
    part = wide[..., 8:72]
    ours = run(yuv_model, part, 0.5, [2], FP32, matrices=EXACT)
    expected = run(yuv_model, part.contiguous(), 0.5, [2], FP32, matrices=EXACT)
    assert torch.equal(ours.fgr, expected.fgr)


def test_planar_frames_give_the_same() -> None:
    """A GPU converts to planes of RGB; the steps at full resolution take them as they are."""
    frames, a, b = noise(2, 40, 60, 3), torch.rand(4, 20, 30), torch.rand(4, 20, 30) * 200
    planar = frames.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert planar.stride() != frames.stride()
    for ratio in (0.5, 1.0):
        image = full_resolution.working_size_image(planar, ratio)
        assert_close(
            image.numpy(), full_resolution.working_size_image(frames, ratio).numpy(), "image"
        )
        assert image.is_contiguous(memory_format=torch.channels_last)
    written = []
    for source in (frames, planar):
        fgr, pha = torch.empty_like(source), torch.empty_like(source[..., :1])
        full_resolution.write_at_once(source[0], a, b, fgr[0], pha[0])
        written.append((fgr[0], pha[0]))
    assert torch.equal(written[0][0], written[1][0])
    assert torch.equal(written[0][1], written[1][1])
    like = noise(2, 60, 60)
    packed = [i420.packed_frames(source, EXACT[1], like) for source in (frames, planar)]
    assert torch.equal(*packed)


def test_no_device_is_baked_in(yuv_model: ScriptModule) -> None:
    assert "Device = prim::Constant" not in str(yuv_model.graph)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 32, 32), "src has 32 rows, which is not divisible by 3"),
        ((1, 1, 33, 31), "31 pixels wide; it must be even"),
        ((1, 33, 32), r"must be \[B,T,H\*3/2,W\]"),
        ((1, 0, 33, 32), "none of them 0"),
        ((1, 1, 32, 32, 3), r"src has the shape \[1, 1, 32, 32, 3\]"),
    ],
)
def test_pictures_of_another_shape_are_refused(
    yuv_model: ScriptModule, shape: tuple[int, ...], message: str
) -> None:
    zero = torch.zeros(1, 1, 1, 1)
    src = torch.zeros(shape, dtype=torch.uint8)
    with pytest.raises(torch.jit.Error, match=message):
        yuv_model(src, zero, zero, zero, zero, torch.tensor([0.5]), *EXACT)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (12,), (1, 3, 4)])
def test_matrices_of_another_shape_are_refused(
    yuv_model: ScriptModule, index: int, shape: tuple[int, ...]
) -> None:
    matrices = [*EXACT]
    matrices[index] = torch.zeros(shape)
    name = ("to_rgb", "from_rgb")[index]
    with pytest.raises(torch.jit.Error, match=rf"{name} has the shape .*; it must be \[3, 4\]"):
        run(yuv_model, noise(1, 1, 48, 32), 0.5, [1], FP32, matrices=matrices)
