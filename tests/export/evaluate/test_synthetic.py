"""The made set: reproducible, and true by construction."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.export.evaluate.conftest import SMALL

from rvm_export.errors import DatasetError
from rvm_export.evaluate.dataset import find_clips
from rvm_export.evaluate.person import PORTRAIT_HEIGHT_PIXELS, cut_out
from rvm_export.evaluate.placing import Placing
from rvm_export.evaluate.strokes import Hair
from rvm_export.evaluate.synthetic import (
    KINDS,
    MadeSet,
    clip_name,
    made_frames,
    make_dataset,
)
from rvm_export.verify import INT8_CASES


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_seed_makes_the_same_bytes_again(tmp_path: Path) -> None:
    made = replace(SMALL, clips=2, frames=3)
    folders = [tmp_path / name for name in ("a", "b", "other")]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        make_dataset(folder, replace(made, seed=seed), lambda: None)
    first, again, other = map(contents, folders)
    assert len(first) == 2 * 3 * 4 + 1
    assert first == again
    assert all(first[name] != other[name] for name in first if "/com/" in name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "other"]


def test_the_set_has_the_layout_that_is_evaluated(made_set: Path) -> None:
    clips = find_clips(made_set)
    assert [clip.name for clip in clips] == [clip_name(index) for index in range(4)]
    assert {len(clip.stems) for clip in clips} == {SMALL.frames}
    assert {(clip.width_pixels, clip.height_pixels) for clip in clips} == {
        (SMALL.width_pixels, SMALL.height_pixels)
    }


def test_the_composite_is_that_of_the_files_beside_it(made_set: Path) -> None:
    for clip in find_clips(made_set):
        for index, stem in enumerate(clip.stems):
            true = clip.truth(index)
            bgr = np.asarray(Image.open(clip.folder / "bgr" / f"{stem}.png"))
            alpha = true.pha[..., None] / 255
            expected = alpha * true.fgr + (1 - alpha) * bgr
            np.testing.assert_allclose(clip.composite(index), expected, rtol=0, atol=0.5 + 1e-9)


def test_a_screen_is_lit_unevenly_and_filmed(tmp_path: Path) -> None:
    """One hue, light of it on the person, and a composite with noise and the losses of a codec."""
    made = MadeSet(seed=2, clips=1, frames=2, width_pixels=160, height_pixels=90, screen=True)
    make_dataset(tmp_path / "set", made, lambda: None)
    make_dataset(tmp_path / "again", made, lambda: None)
    assert contents(tmp_path / "set") == contents(tmp_path / "again")
    (clip,) = find_clips(tmp_path / "set")
    bgr = np.asarray(Image.open(clip.folder / "bgr" / "0000.png")).astype(float)
    true, com = clip.truth(0), clip.composite(0).astype(float)
    assert (bgr[..., 1] > 1.5 * np.maximum(bgr[..., 0], bgr[..., 2])).mean() > 0.99
    assert bgr[..., 1].max() > 1.3 * np.median(bgr[..., 1].min(axis=0))
    off = np.abs(com - bgr)[true.pha == 0]
    assert 0.5 < off.mean() < 4
    spill = (com - true.fgr)[true.pha == 255].mean(axis=0)
    assert spill[1] > spill[0] + 3


def test_each_kind_is_hard_in_its_own_way() -> None:
    partial = {}
    for index, kind in enumerate(KINDS):
        frames = [make() for make in made_frames(SMALL, index)[::3]]
        partial[kind.name] = np.mean([(f.pha > 0) & (f.pha < 255) for f in frames])
        # She is there, and not everywhere; she moves, and so does what is behind her.
        assert all(0.15 < (f.pha > 127).mean() < 0.8 for f in frames)
        assert np.abs(frames[0].pha.astype(int) - frames[-1].pha).mean() > 2
        assert np.abs(frames[0].bgr.astype(int) - frames[-1].bgr).mean() > 2
    assert partial["hair"] > 1.5 * partial["turning"]
    assert partial["motion_blur"] > 1.5 * partial["turning"]


def test_motion_blur_is_the_mean_over_the_exposure() -> None:
    """At the edge of her alpha: sharp at each moment, soft in their mean."""
    blur = next(index for index, kind in enumerate(KINDS) if kind.name == "motion_blur")
    (make, *_) = made_frames(replace(SMALL, frames=1), blur)
    shot = make.args[0]
    kind = shot.kind
    offsets = (np.arange(kind.moments) + 0.5) / kind.moments - 0.5
    instants = [
        replace(shot, kind=replace(kind, moments=1, exposure_frames=0)).frame(offset)
        for offset in kind.exposure_frames * offsets
    ]
    mean = np.mean([instant.pha for instant in instants], axis=0)
    np.testing.assert_allclose(make().pha, mean, rtol=0, atol=1)


def test_a_stroke_covers_its_area() -> None:
    one = np.zeros(1)
    hair = Hair(np.array([[20.0, 30.0]]), one, np.array([40.0]), one, one)
    coverage = hair.coverage(0.0, Placing((0, 0), (0, 0)), 1.0, 100, 60)
    # 40 pixels long and half a pixel wide.
    assert coverage.sum() == pytest.approx(20, rel=0.1)
    assert {*np.nonzero(coverage)[0].tolist()} <= {29, 30}


def test_points_and_pictures_are_placed_alike() -> None:
    picture = np.zeros((50, 60), np.uint8)
    picture[18:23, 38:43] = 255
    placing = Placing((30, 40), (55, 60), scale=1.3, narrowing=-0.8, angle=0.3)
    placed = placing.picture(picture, 120, 100)
    y, x = np.nonzero(placed > 127)
    centre = placing.points(np.array([40.5, 20.5]))
    assert np.abs(np.array([x.mean() + 0.5, y.mean() + 0.5]) - centre).max() < 0.5


def test_nothing_of_the_old_background_is_left() -> None:
    """Beyond her edge there is only colour from inside, not the portrait's light wall."""
    person = cut_out(PORTRAIT_HEIGHT_PIXELS)
    portrait = INT8_CASES[0].src[-1][:PORTRAIT_HEIGHT_PIXELS]
    pha, fgr = person.pha[:PORTRAIT_HEIGHT_PIXELS], person.fgr[:PORTRAIT_HEIGHT_PIXELS]
    beside_her_hair = np.s_[20:100, :135]
    assert (pha[beside_her_hair] == 0).mean() > 0.9
    assert portrait[beside_her_hair].mean() > fgr[beside_her_hair].mean() + 20
    # Well inside, she is as she was.
    inside = np.s_[60:100, 180:240]
    np.testing.assert_array_equal(fgr[inside], portrait[inside])
    assert (pha[inside] == 255).all()


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DatasetError, match="is not empty"):
        make_dataset(tmp_path, SMALL, lambda: None)
    assert contents(tmp_path) == {"mine.txt": b"mine"}


def test_nothing_half_made_is_left(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_dataset(tmp_path / "set", MadeSet(frames=2, width_pixels=64, height_pixels=64), stop)
    assert list(tmp_path.iterdir()) == []
