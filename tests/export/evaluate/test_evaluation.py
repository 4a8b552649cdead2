"""A version measured on true alphas, by the command and through the real model."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support.commands import invoke

from rvm_client.options import MatteOptions
from rvm_client.refinements import SOURCE_TYPES, Refinements
from rvm_export.cli import main
from rvm_export.evaluate.dataset import Clip, find_clips
from rvm_export.evaluate.evaluation import Evaluation, evaluate
from rvm_export.evaluate.matting import ScenesAndRatio, Version
from rvm_export.evaluate.synthetic import MadeSet, make_dataset
from rvm_export.verify import SEED, EagerModel, seeded_network

PLAIN = ScenesAndRatio(warm_start=False, cuts=False)


def measured(version: Version, clips: list[Clip], how: ScenesAndRatio) -> Evaluation:
    return evaluate(clips, version, how, lambda: None)


def part_of(clip: Clip, frames: slice) -> Clip:
    """Some of its frames, as a clip of their own."""
    files = {part: paths[frames] for part, paths in clip.files.items()}
    return replace(clip, stems=clip.stems[frames], files=files)


@pytest.fixture(scope="session")
def own_truth(made_set: Path, real: Version, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip whose truth is what the model makes of it, in requests of as many frames."""
    folder = tmp_path_factory.mktemp("own") / "set"
    shutil.copytree(made_set / "0000_turning", folder / "clip")
    (clip,) = find_clips(folder)
    src = np.stack([clip.composite(index) for index in range(len(clip.stems))])
    matte = real.subject.matte(torch.from_numpy(src)[None], 1.0, [4, 4, 2])
    for index, stem in enumerate(clip.stems):
        for part, levels in (("pha", matte.pha[0, index, ..., 0]), ("fgr", matte.fgr[0, index])):
            Image.fromarray(levels.numpy()).save(clip.folder / part / f"{stem}.png")
    return folder


def test_a_perfect_matte_has_no_error(own_truth: Path, real: Version) -> None:
    """Frames, their order and the carried state are right: all is zero to the last bit."""
    clips = find_clips(own_truth)
    mean = measured(real, clips, PLAIN).mean
    assert {*vars(mean).values()} == {0.0}
    # So what differs is what was changed.
    assert measured(real, clips, replace(PLAIN, warm_start=True)).mean.mad > 0
    half = replace(PLAIN, options=MatteOptions(downsample_ratio=0.5))
    assert measured(real, clips, half).mean.mad > 0


def test_a_worse_model_has_worse_figures(made_set: Path, real: Version) -> None:
    clips = find_clips(made_set)[:1]
    drawn = EagerModel(seeded_network(SEED))
    worse = replace(real, subject=replace(real.subject, model=drawn))
    good, bad = (vars(measured(v, clips, ScenesAndRatio()).mean) for v in (real, worse))
    assert all(bad[name] > good[name] for name in good)
    # And the real one finds her.
    assert good["mad"] < 40 < bad["mad"]


def test_a_warm_start_is_the_client_s(made_set: Path, real: Version) -> None:
    """The first frames (12 of more) backwards, then all of them."""
    clips = find_clips(made_set)[:1]
    src = np.stack([clips[0].composite(index) for index in range(len(clips[0].stems))])
    shown = torch.from_numpy(np.concatenate([src[:12][::-1], src]))[None]
    alphas = real.subject.matte(shown, 1.0, [shown.size(1)]).pha[0, len(src) :, ..., 0].numpy()
    found = measured(real, clips, replace(PLAIN, warm_start=True)).clips[0].by_frame
    for index, figures in enumerate(found):
        expected = np.abs(alphas[index] / 255 - clips[0].truth(index).pha / 255).mean() * 1e3
        assert figures.mad == pytest.approx(expected, rel=1e-2)


def test_a_warm_start_brings_the_first_frame_nearer_to_the_truth(
    real: Version, tmp_path: Path
) -> None:
    """On one clip; docs/quality.md has twelve."""
    made = MadeSet(clips=1, frames=12, width_pixels=320, height_pixels=180)
    make_dataset(tmp_path / "set", made, lambda: None)
    (clip,) = find_clips(tmp_path / "set")
    cold = measured(real, [part_of(clip, slice(1))], PLAIN)
    warm = measured(real, [clip], replace(PLAIN, warm_start=True))
    assert warm.clips[0].by_frame[0].mad < 0.95 * cold.mean.mad


@pytest.mark.parametrize("warm_start", [False, True])
def test_after_a_cut_a_scene_is_as_one_alone(
    warm_start: bool, made_set: Path, real: Version
) -> None:
    clip = find_clips(made_set)[3]
    cut = len(clip.stems) // 2
    how = ScenesAndRatio(warm_start=warm_start)
    (whole,) = measured(real, [clip], how).clips
    assert whole.cuts == (cut,)
    parts = measured(real, [part_of(clip, slice(cut)), part_of(clip, slice(cut, None))], how)
    alone = [vars(figures) for part in parts.clips for figures in part.by_frame]
    for index, (figures, expected) in enumerate(zip(whole.by_frame, alone, strict=True)):
        # The change over the cut belongs to neither part.
        without = {"dtssd": 0.0} if index == cut else {}
        # Requests of other sizes round otherwise, a level here and there.
        assert {**vars(figures), **without} == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("warm_start", [False, True])
def test_without_cuts_the_state_is_carried_over(
    warm_start: bool, made_set: Path, real: Version
) -> None:
    clip = find_clips(made_set)[3]
    cut = len(clip.stems) // 2
    with_, without = (
        measured(real, [clip], ScenesAndRatio(warm_start=warm_start, cuts=cuts)).clips[0]
        for cuts in (True, False)
    )
    assert without.cuts == ()
    assert without.by_frame[:1] == with_.by_frame[:1]
    assert without.by_frame[cut] != with_.by_frame[cut]
    if not warm_start:
        assert without.by_frame[:cut] == with_.by_frame[:cut]


@pytest.fixture(scope="session")
def command_output(
    own_truth: Path, model_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, object]]:
    """What the command prints and writes of a clip whose truth is the model's own matte."""
    file = tmp_path_factory.mktemp("json") / "figures.json"
    where = ("--dataset", own_truth, "--repository", model_repository, "--json", file)
    result = invoke(main, "evaluate", *where, "--no-warm-start", "--no-cuts")
    assert result.exit_code == 0, result.output
    return result.stdout, json.loads(file.read_text())


def test_the_table_has_the_paper_s_figures_as_its_own(
    command_output: tuple[str, dict[str, object]],
) -> None:
    printed, _ = command_output
    rows = {
        " ".join(cells[:-6]): cells[-6:]
        for cells in (line.split() for line in printed.splitlines())
        if len(cells) > 6 and re.fullmatch(r"[\d.]+|-", cells[-1])
    }
    assert rows["clip 10 1"] == rows["mean 10"] == ["0.00"] * 6
    paper = [cells for name, cells in rows.items() if name.startswith("paper, ")]
    assert paper == [
        ["6.08", "1.47", "0.88", "0.41", "1.36", "-"],
        ["5.32", "0.62", "0.59", "0.30", "1.24", "-"],
    ]
    assert "on any other set they are no yardstick" in printed


def test_json(command_output: tuple[str, dict[str, object]], real: Version) -> None:
    _, result = command_output
    assert (result["model"], result["version"]) == ("rvm_mobilenetv3", 1)
    assert result["model_sha256"] == real.manifest.model_sha256
    assert (result["warm_start"], result["cuts"]) == (False, False)
    (clip,) = result["clips"]  # type: ignore[misc]
    assert (clip["clip"], clip["frames"], clip["downsample_ratio"]) == ("clip", 10, 1.0)  # type: ignore[has-type]
    assert len(clip["by_frame"]) == 10  # type: ignore[has-type]
    names = {"mad", "mse", "grad", "conn", "dtssd", "fgr_mse"}
    assert all(frame.keys() == names for frame in (result["mean"], *clip["by_frame"]))  # type: ignore[has-type]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--ratio", "1.5"], 2, "--ratio is 1.5; it must be auto, or above 0 and at most 1"),
        (["--ratio", "half"], 2, "--ratio is half"),
        (["--ratio", "0.5", "--prefer-quality"], 2, "give one"),
        (["--version", "9"], 2, "no version 9"),
        (["--json", "nowhere/figures.json"], 2, "there is no folder nowhere"),
        (["--dataset", "nowhere"], 2, "there is no folder nowhere; give one with --dataset"),
    ],
)
def test_mistakes_are_one_line(
    options: list[str], status: int, message: str, own_truth: Path, model_repository: Path
) -> None:
    where = ("--dataset", own_truth, "--repository", model_repository)
    result = invoke(main, "evaluate", *where, *options)
    assert result.exit_code == status
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("rvm-export: ")]
    assert message in line


@pytest.mark.parametrize(
    ("options", "ratio"), [([], 0.4), (["--prefer-quality"], 0.6), (["--ratio", "0.25"], 0.25)]
)
def test_the_ratio_is_that_of_rvm_matte(
    options: list[str], ratio: float, model_repository: Path, tmp_path: Path
) -> None:
    for part, mode in (("com", "RGB"), ("pha", "L"), ("fgr", "RGB")):
        (tmp_path / "clip" / part).mkdir(parents=True)
        Image.new(mode, (1280, 64)).save(tmp_path / "clip" / part / "0000.png")
    file = tmp_path / "figures.json"
    where = ("--dataset", tmp_path, "--repository", model_repository, "--json", file)
    result = invoke(main, "evaluate", *where, *options)
    assert result.exit_code == 0, result.output
    assert json.loads(file.read_text())["clips"][0]["downsample_ratio"] == pytest.approx(ratio)


def test_keyed_mattes_are_nearer_the_truth(tmp_path: Path, real: Version) -> None:
    """The clip with much loose hair."""
    made = MadeSet(clips=2, frames=4, width_pixels=320, height_pixels=180, screen=True)
    make_dataset(tmp_path / "set", made, lambda: None)
    clips = find_clips(tmp_path / "set")[1:]
    person, keyed, auto = (
        evaluate(
            clips,
            real,
            ScenesAndRatio(MatteOptions(refinements=Refinements(source_type=source_type))),
            lambda: None,
        ).mean
        for source_type in SOURCE_TYPES
    )
    assert keyed == auto
    assert keyed.mse < 0.8 * person.mse
    assert keyed.grad < 0.8 * person.grad
    assert keyed.fgr_mse < 0.5 * person.fgr_mse


def test_make_dataset_by_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    size = ("--clips", 1, "--frames", 2, "--size", "96x64", "--seed", 3)
    result = invoke(main, "make-dataset", folder, *size)
    assert (result.exit_code, result.stdout.strip()) == (0, str(folder)), result.output
    (clip,) = find_clips(folder)
    assert (len(clip.stems), clip.width_pixels, clip.height_pixels) == (2, 96, 64)
    assert json.loads((folder / "made.json").read_text())["seed"] == 3
    again = invoke(main, "make-dataset", folder, *size)
    assert again.exit_code == 2
    assert "is not empty" in again.stderr
    refused = invoke(main, "make-dataset", tmp_path / "other", "--size", "96")
    assert refused.exit_code == 2
    assert "--size is 96; it must be WIDTHxHEIGHT, each 64 to 4096 pixels" in refused.stderr
    odd = invoke(main, "make-dataset", tmp_path / "other", "--size", "97x64", "--screen")
    assert (odd.exit_code, "--size is 97x64; with --screen both must be even" in odd.stderr) == (
        2,
        True,
    )
