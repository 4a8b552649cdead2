"""Videos of a person before a screen: the whole way, against the real model and a true alpha."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.support.clips import write_clip
from tests.support.pngs import read_png_sequence

from rvm_client.matte import MattingModel
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline import MatteResult, matte_video
from rvm_client.pixels import UInt8Array
from rvm_client.refinements import Refinements, SourceType
from rvm_export.evaluate.synthetic import MadeSet, made_frames
from rvm_export.verify.goldens import INT8_CASES

FRAMES = 6


@pytest.fixture
def model(triton_url: str) -> Iterator[MattingModel]:
    with MattingModel(triton_url) as connection:
        yield connection


@dataclass(frozen=True)
class Filmed:
    clip: Path
    true: UInt8Array
    """[T,H,W]: the alpha."""


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Filmed:
    """A person with loose hair before a green screen, 320x180."""
    made = MadeSet(frames=FRAMES, width_pixels=320, height_pixels=180, screen=True)
    frames = [make() for make in made_frames(made, 1)]
    clip = tmp_path_factory.mktemp("screen") / "screen.mp4"
    write_clip(clip, [frame.com for frame in frames], options={"crf": "20"})
    return Filmed(clip, np.stack([frame.pha for frame in frames]))


def matted(
    model: MattingModel,
    clip: Path,
    folder: Path,
    source_type: SourceType,
    frames_per_request: int | None = None,
) -> tuple[MatteResult, UInt8Array]:
    """The result, and its RGBA frames [T,H,W,4]."""
    target = folder / f"{source_type}-{frames_per_request}.zip"
    options = MatteOptions(
        OutputType.PNG_SEQUENCE,
        refinements=Refinements(source_type=source_type),
        frames_per_request=frames_per_request,
    )
    result = matte_video(clip, target, model, options)
    return result, np.stack(read_png_sequence(target)[1])


def test_a_key_is_nearer_the_truth_whatever_the_requests(
    model: MattingModel, filmed: Filmed, tmp_path: Path
) -> None:
    alone, person = matted(model, filmed.clip, tmp_path, "person")
    results = [
        matted(model, filmed.clip, tmp_path, "auto", 4),
        matted(model, filmed.clip, tmp_path, "green_screen", 3),
        matted(model, filmed.clip, tmp_path, "auto", 1),
    ]
    keyed = results[0][1]
    assert all(np.array_equal(frames, keyed) for _, frames in results)
    assert [result.keyed_frames for result, _ in results] == [FRAMES] * 3
    assert (alone.keyed_frames, alone.warnings, results[0][0].warnings) == (0, (), ())

    def error(frames: UInt8Array) -> float:
        return float(np.square(frames[..., 3].astype(float) - filmed.true).mean())

    assert error(keyed) < 0.7 * error(person)
    soft = (filmed.true > 64) & (filmed.true < 192)
    greener = [f[soft][:, 1].mean() - f[soft][:, 0].mean() for f in (person, keyed)]
    assert greener[0] > 10 > greener[1]


def test_a_person_before_no_screen_is_as_ever_and_said_so(
    model: MattingModel, tmp_path: Path
) -> None:
    clip = tmp_path / "portrait.mp4"
    write_clip(clip, [*np.ascontiguousarray(INT8_CASES[0].src[:3, ::2, ::2])])
    _, person = matted(model, clip, tmp_path, "person")
    found, auto = matted(model, clip, tmp_path, "auto")
    told, asked = matted(model, clip, tmp_path, "green_screen")
    assert (found.keyed_frames, told.keyed_frames) == (0, 0)
    assert np.array_equal(person, auto)
    assert np.array_equal(person, asked)
    assert found.warnings == ()
    assert told.warnings == (
        "3 of 3 frames have no screen of one colour behind the person, so their mattes are the "
        "model's alone",
    )
