"""Does a TorchScript file keep the wire contract, and compute what the network computes?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rvm_export.errors import VerificationError
from rvm_export.network import WIDTHS, MattingNetwork
from rvm_export.verify import yuv_reference
from rvm_export.verify.differences import HALVED_CHROMA, TOLERANCES, Difference, difference, worst
from rvm_export.verify.goldens import CASES, FGR_GRID_STEP, INT8_CASES, GoldenCase, seeded_weights
from rvm_export.verify.run import EagerModel, Matte, Model, run
from rvm_export.weights import checkpoint_shapes
from rvm_export.wire import OUTPUTS, Layout, Precision, Refiner, Variant

# B, T, H, W, ratio: odd and even, one and several, with and without the refiner.
SHAPES = (
    (1, 1, 64, 96, 1.0),
    (2, 3, 97, 131, 0.6),
    (1, 2, 45, 80, 0.25),
    (3, 1, 33, 17, 1.0),
)


@dataclass(frozen=True)
class Subject:
    """A model that is checked, and what it says it is."""

    model: Model
    layout: Layout
    precision: Precision
    device: str = "cpu"
    variant: Variant = Variant.MOBILENETV3

    def matte(
        self, rgb: Tensor, ratio: float, chunks: Iterable[int], states: Sequence[Tensor] = ()
    ) -> Matte:
        """The mattes of RGB [B,T,H,W,3], handed over as `pictures` in the layout of the model.

        `states` are those of the frame before; none at the start of a video.
        """
        src, dtype, rest = pictures(rgb, self.layout), self.precision.dtype, matrices(self.layout)
        return run(self.model, src, ratio, chunks, dtype, self.device, rest, states)


def pictures(rgb: Tensor, layout: Layout) -> Tensor:
    """RGB [B,T,H,W,3] in a layout; in YUV without the last row or column of an odd size."""
    if layout is Layout.RGB:
        return rgb
    even = rgb[:, :, : rgb.size(2) // 2 * 2, : rgb.size(3) // 2 * 2]
    return torch.from_numpy(yuv_reference.to_i420(even.numpy()))


def matrices(layout: Layout) -> list[Tensor]:
    """What comes after the ratio: how colours are converted, where the layout has any."""
    used = (yuv_reference.TO_RGB, yuv_reference.FROM_RGB) if layout is Layout.YUV else ()
    return [torch.from_numpy(matrix).float() for matrix in used]


class Named(Protocol):
    """A model that says how its inputs are called, in their order."""

    input_names: tuple[str, ...]


def check_contract(model: torch.jit.ScriptModule | Named, subject: Subject) -> None:
    """Names and order of the inputs; number, dtypes and shapes of the outputs.

    Raises:
        VerificationError: anything is not as `config.pbtxt` says.
    """
    names, inputs = _input_names(model), subject.layout.inputs
    if names != inputs:
        raise VerificationError(f"the model's inputs are {', '.join(names)}, not {inputs}")
    for videos, count, height, width, ratio in SHAPES:
        rgb = _noise(videos, count, height, width)
        matte = subject.matte(rgb, ratio, [count])
        tensors = (matte.fgr, matte.pha, *matte.states)
        found = [(tuple(t.shape), t.dtype) for t in tensors]
        shape = tuple(pictures(rgb, subject.layout).shape)
        expected = expected_outputs(shape, ratio, subject.precision, subject.variant)
        if found != expected:
            raise VerificationError(f"{OUTPUTS} of {shape} are {found}, not {expected}")


def _input_names(model: torch.jit.ScriptModule | Named) -> tuple[str, ...]:
    if isinstance(model, torch.jit.ScriptModule):
        schema = model.forward.schema  # type: ignore[attr-defined]
        return tuple(argument.name for argument in schema.arguments[1:])
    return model.input_names


def expected_outputs(
    shape: tuple[int, ...],
    ratio: float,
    precision: Precision,
    variant: Variant = Variant.MOBILENETV3,
) -> list[tuple[tuple[int, ...], torch.dtype]]:
    """Shape and dtype of each output for a `src` of `shape`, RGB or YUV."""
    videos, count, rows, width = shape[:4]
    height = rows if len(shape) == 5 else rows * 2 // 3
    expected = [(shape, torch.uint8), ((videos, count, height, width, 1), torch.uint8)]
    height, width = int(height * ratio), int(width * ratio)
    for channels in WIDTHS[variant].states:
        height, width = (height + 1) // 2, (width + 1) // 2
        expected.append(((videos, channels, height, width), precision.dtype))
    return expected


def check_splitting(subject: Subject) -> None:
    """The same frames in one request, one by one, and beside another video.

    Raises:
        VerificationError: the result depends on how the frames are sent.
    """
    src = torch.stack([_clip(CASES[1]), _clip(CASES[1]).flip(1)])
    together = subject.matte(src, 0.4, [3])
    for chunks in ([1, 1, 1], [2, 1]):
        for video in range(2):
            alone = subject.matte(src[video : video + 1], 0.4, chunks)
            ours = (together.fgr[video], together.pha[video])
            found = difference(ours, (alone.fgr[0], alone.pha[0]))
            what = f"the result in requests of {chunks} frames"
            TOLERANCES[subject.precision].check(found, what)


def compare_with_eager(subject: Subject, network: MattingNetwork) -> Difference:
    """The worst difference over the golden frames, each pixel, at their ratios.

    Raises:
        VerificationError: it is more than rounding.
    """
    found = differences_from_eager(subject, network)
    for name, difference_ in found.items():
        TOLERANCES[subject.precision].check(difference_, f"TorchScript on {name}")
    return worst([*found.values()])


def differences_from_eager(subject: Subject, network: MattingNetwork) -> dict[str, Difference]:
    """The difference on each golden case of the int8 release, whatever it is, by its name."""
    found = {}
    eager = eager_subject(network, subject.layout)
    for case in INT8_CASES:
        src = _clip(case)[None]
        expected = eager.matte(src, case.downsample_ratio, case.chunks)
        actual = subject.matte(src, case.downsample_ratio, case.chunks)
        found[case.name] = difference((actual.fgr, actual.pha), (expected.fgr, expected.pha))
    return found


def eager_subject(network: MattingNetwork, layout: Layout) -> Subject:
    """The plain network in float32 behind the wire contract of a layout: the yardstick."""
    model = EagerModel(network)
    yardstick = model if layout is Layout.RGB else yuv_reference.EagerYuvModel(model)
    return Subject(yardstick, layout, Precision.FP32)


def compare_with_golden(subject: Subject, cases: tuple[GoldenCase, ...]) -> Difference:
    """The worst difference from the golden mattes of `cases`; for YUV of those of even size.

    Raises:
        VerificationError: it is more than rounding, and for YUV than the loss of chroma.
    """
    yuv = subject.layout is Layout.YUV
    tolerance = HALVED_CHROMA if yuv else TOLERANCES[subject.precision]
    found = differences_from_golden(subject, cases)
    for name, difference_ in found.items():
        tolerance.check(difference_, f"the golden case {name}")
    return worst([*found.values()])


def differences_from_golden(
    subject: Subject, cases: tuple[GoldenCase, ...]
) -> dict[str, Difference]:
    """The difference from each golden matte, whatever it is, by the case's name."""
    found = {}
    for case in cases:
        if subject.layout is Layout.RGB or case.is_even:
            actual = subject.matte(_clip(case)[None], case.downsample_ratio, case.chunks)
            found[case.name] = _difference_from_golden(actual, case)
    return found


def seeded_network(seed: int, variant: Variant = Variant.MOBILENETV3) -> MattingNetwork:
    """A network with the deep guided filter and weights drawn from a seed."""
    network = MattingNetwork(Refiner.DEEP, variant)
    drawn = seeded_weights(checkpoint_shapes(variant), seed)
    network.load_state_dict({key: torch.from_numpy(value) for key, value in drawn.items()})
    return network.eval()


def _difference_from_golden(actual: Matte, case: GoldenCase) -> Difference:
    fgr = actual.fgr
    if fgr.dim() == 4:
        fgr = torch.from_numpy(yuv_reference.to_rgb(fgr.numpy()))
    grid = fgr[0, :, ::FGR_GRID_STEP, ::FGR_GRID_STEP]
    golden = (torch.from_numpy(case.fgr_grid), torch.from_numpy(case.pha))
    return difference((grid, actual.pha[0, ..., 0]), golden)


def _clip(case: GoldenCase) -> Tensor:
    return torch.from_numpy(case.src)


def _noise(videos: int, count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (videos, count, height, width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
