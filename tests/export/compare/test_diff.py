"""`rvm-export diff`: its figures, its picture, its exit statuses, on real versions."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from tests.support.clips import index_frame, write_clip
from tests.support.commands import invoke
from torch import Tensor

from rvm_export.cli import main
from rvm_export.compare import Clip, Side, compare, golden_clips, reference_side, write_picture
from rvm_export.compare.picture import heat
from rvm_export.errors import DifferenceError, UsageError
from rvm_export.verify import INT8_CASES, Subject
from rvm_export.verify.run import Outputs
from rvm_export.weights import Weights
from rvm_export.wire import Layout, Precision

HEIGHT, WIDTH = 8, 10


def diff(*arguments: object) -> Result:
    return invoke(main, "diff", *arguments)


def side(
    name: str,
    alpha: Callable[[float], Tensor],
    precision: Precision = Precision.FP32,
    layout: Layout = Layout.RGB,
) -> Side:
    """A model whose alpha is made from the number of the frame, which its state counts."""

    def model(src: Tensor, *inputs: Tensor) -> Outputs:
        frame = float(inputs[0].max())
        alphas = [alpha(frame + t) for t in range(src.size(1))]
        states = [torch.full((1, 1, 1, 1), frame + src.size(1))] * 4
        pha = torch.stack(alphas)[None, ..., None].to(torch.uint8)
        return src, pha, states[0], states[1], states[2], states[3]

    return Side(name, Subject(model, layout, precision))


def clip(*lengths: int) -> Clip:
    def chunks() -> Iterator[Tensor]:
        for length in lengths:
            yield torch.zeros(length, HEIGHT, WIDTH, 3, dtype=torch.uint8)

    return Clip("made", 1.0, chunks)


def flat(level: float) -> Tensor:
    return torch.full((HEIGHT, WIDTH), level)


# --- the figures


def test_figures_of_a_known_difference() -> None:
    def spotted(_frame: float) -> Tensor:
        alpha = flat(100)
        alpha[:2] += 2  # 20 of 80 pixels
        alpha[4, :4] -= 9  # 4
        return alpha

    found = compare(side("a", lambda _: flat(100)), side("b", spotted), [clip(1)], 9)
    (frame,) = found.frames
    assert frame.pha_max == 9
    assert frame.pha_mean == pytest.approx((20 * 2 + 4 * 9) / 80)
    assert frame.pha_above == pytest.approx((24 / 80, 4 / 80, 4 / 80))
    assert (frame.fgr_max, frame.fgr_mean, frame.fgr_above) == (0, 0, (0, 0, 0))
    found.check()
    where = np.asarray(found.worst.pha)
    assert {*where.flat} == {0, 2, 9}
    assert (where[4, :4] == 9).all()


def test_each_model_keeps_its_own_state_from_chunk_to_chunk() -> None:
    """One counts the frames by one, the other by three: they drift apart by two a frame."""
    one, other = side("a", lambda t: flat(t)), side("b", lambda t: flat(3 * t))
    found = compare(one, other, [clip(2, 3, 1), clip(2)], 255)
    assert [frame.pha_max for frame in found.frames] == [0, 2, 4, 6, 8, 10, 0, 2]
    assert [frame.frame for frame in found.frames] == [0, 1, 2, 3, 4, 5, 0, 1]
    assert found.worst.difference.frame == 5
    summary = found.summary
    assert (summary.frame, summary.pha_max, summary.pha_mean) == (8, 10, 4)
    assert summary.pha_above == pytest.approx((6 / 8, 4 / 8, 1 / 8))


@pytest.mark.parametrize(("precision", "allowed"), [(Precision.FP32, 1), (Precision.FP16, 8)])
def test_what_is_allowed_follows_the_coarser_precision(
    precision: Precision, allowed: float
) -> None:
    for level in (allowed, allowed + 1):
        one = side("a", lambda _: flat(100))
        other = side("b", lambda _, level=level: flat(100 + level), precision)  # type: ignore[misc]
        found = compare(one, other, [clip(1)], None)
        assert found.most_alpha == allowed
        if level == allowed:
            found.check()
        else:
            with pytest.raises(DifferenceError, match=f"by up to {level:g} levels of alpha"):
                found.check()


def test_layouts_see_different_pixels() -> None:
    one = side("a", lambda _: flat(1))
    other = side("b", lambda _: flat(1), layout=Layout.YUV)
    with pytest.raises(UsageError, match="a takes RGB and b planes of YUV"):
        compare(one, other, [clip(1)], None)


# --- the picture


def test_the_picture_shows_where(tmp_path: Path) -> None:
    def spotted(_frame: float) -> Tensor:
        alpha = flat(100)
        alpha[3, 4] = 200
        return alpha

    found = compare(side("a", lambda _: flat(100)), side("b", spotted), [clip(1)], 255)
    write_picture(tmp_path / "where.png", found.worst)
    picture = np.asarray(Image.open(tmp_path / "where.png"))[-HEIGHT:]
    assert picture.shape == (HEIGHT, 3 * WIDTH, 3)
    lit = np.argwhere(picture.max(-1) > 0)
    assert lit.tolist() == [[3, WIDTH + 4]]  # in the second panel, and nowhere else
    assert picture[3, WIDTH + 4].tolist() == [255, 255, 255]


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    found = compare(side("a", lambda _: flat(1)), side("b", lambda _: flat(1)), [clip(1)], None)
    folder = tmp_path / "where.png"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"--picture: cannot write .*: Is a directory"):
        write_picture(folder, found.worst)
    assert [path.name for path in tmp_path.iterdir()] == ["where.png"]
    with pytest.raises(UsageError, match=r"--picture: cannot write /sys/where\.png"):
        write_picture(Path("/sys/where.png"), found.worst)


def test_one_level_is_seen_and_more_is_brighter() -> None:
    colours = heat(np.array([[0, 1, 4, 16, 255]], np.uint8))[0].astype(int)
    brightness = colours.sum(-1)
    assert brightness[0] == 0
    assert brightness[1] > 200
    assert (np.diff(brightness[:4]) > 0).all()
    assert colours[3].tolist() == colours[4].tolist() == [255, 255, 255]


# --- the command, on real versions


def test_a_version_against_the_reference(model_repository: Path, tmp_path: Path) -> None:
    files = ("--json", tmp_path / "all.json", "--picture", tmp_path / "where.png")
    result = diff("1", "reference", "--repository", model_repository, *files)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("rvm_mobilenetv3/1 and reference, in levels of 0 to 255")
    values = json.loads((tmp_path / "all.json").read_text())
    lengths = {case.name: sum(case.chunks) for case in INT8_CASES}
    frames = [(frame["clip"], frame["frame"]) for frame in values["frames"]]
    assert frames == [(name, t) for name, length in lengths.items() for t in range(length)]
    assert values["summary"]["frames"] == len(frames)
    assert values["summary"]["pha_max"] <= values["most_alpha"] == 1
    # TorchScript is arranged otherwise: it rounds otherwise, here and there.
    assert 0 < values["summary"]["fgr_mean"] < 0.01
    with Image.open(tmp_path / "where.png") as picture:
        assert picture.size in {(3 * case.size[1], case.size[0] + 20) for case in INT8_CASES}


def test_other_weights_are_told_apart(
    half_model_repository: Path, rvm_json: Path, tmp_path: Path
) -> None:
    version = half_model_repository / "rvm_mobilenetv3" / "1"
    arguments = (version, "reference", "--checkpoint", rvm_json, "--json", tmp_path / "all.json")
    result = diff(*arguments)
    assert result.exit_code == 1
    (error,) = result.stderr.splitlines()
    assert "levels of alpha" in error
    assert "at most 8 are allowed" in error
    values = json.loads((tmp_path / "all.json").read_text())
    assert values["summary"]["pha_above"][2] > 0.5


def test_a_video_is_compared_frame_by_frame(yuv_model_repository: Path, tmp_path: Path) -> None:
    """Also of the YUV model; the table stays short."""
    video = write_clip(tmp_path / "clip.mp4", [index_frame(i, 64, 48) for i in range(14)])
    arguments = ("--repository", yuv_model_repository, "--clip", video)
    result = diff("rvm_mobilenetv3_yuv/1", "reference", *arguments, "--json", tmp_path / "all.json")
    assert result.exit_code == 0, result.output
    assert len(json.loads((tmp_path / "all.json").read_text())["frames"]) == 14
    rows = [line.split() for line in result.stdout.splitlines()]
    assert sum(row[0] == "clip.mp4" for row in rows) == 12
    assert ["all", "14"] in [row[:2] for row in rows]


def test_weights_that_are_gone_are_named(model_repository: Path, tmp_path: Path) -> None:
    cache = {"RVM_CACHE_DIR": str(tmp_path)}
    folder = _copied(model_repository, tmp_path, weights_source="/gone/rvm.json")
    result = invoke(main, "diff", folder, "reference", **cache)
    assert result.exit_code == 3
    assert "/gone/rvm.json" in result.stderr
    assert "--checkpoint" in result.stderr


def _copied(repository: Path, target: Path, **changes: Any) -> Path:
    """A version's folder with another manifest."""
    source, folder = repository / "rvm_mobilenetv3" / "1", target / "copied"
    folder.mkdir()
    (folder / "model.pt").symlink_to(source / "model.pt")
    manifest = json.loads((source / "manifest.json").read_text()) | changes
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("1", "2"), 2, "has no version 2, but 1"),
        (("1", "nowhere"), 2, "there is no version nowhere"),
        (("reference", "reference"), 2, "the reference is itself"),
        (("1", "1", "--clip", "gone.mp4"), 2, "--clip: there is no file gone.mp4"),
        (("1", "1", "--device", "cuda"), 2, "no GPU"),
    ],
)
def test_mistakes_are_one_line(
    model_repository: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    result = diff(*arguments, "--repository", model_repository)
    assert result.exit_code == status, result.output
    (error,) = result.stderr.splitlines()
    assert message in error


def test_golden_clips_are_those_of_the_export(weights: Weights) -> None:
    """Two references agree on each pixel."""
    one, other = (reference_side(weights, Layout.RGB) for _ in range(2))
    found = compare(one, other, golden_clips()[:1], 0)
    found.check()
    assert found.summary.fgr_max == 0
