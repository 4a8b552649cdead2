"""The layout of a dataset, and what is wrong with one, in one sentence."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rvm_export.errors import DatasetError
from rvm_export.evaluate.dataset import find_clips


def write(path: Path, mode: str = "RGB", size: tuple[int, int] = (16, 8), level: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, level if mode == "L" else (level,) * 3).save(path)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A clip of two frames, and another one folder deeper."""
    for clip in ("0000", "moving/0001"):
        for index in range(2):
            write(tmp_path / clip / "com" / f"{index:04d}.png", level=index)
            write(tmp_path / clip / "pha" / f"{index:04d}.png", "L", level=10 + index)
            write(tmp_path / clip / "fgr" / f"{index:04d}.jpg", level=20 + index)
    return tmp_path


def test_clips_and_frames_are_in_order(dataset: Path) -> None:
    (dataset / "made.json").write_text("{}")
    clips = find_clips(dataset)
    assert [clip.name for clip in clips] == ["0000", "moving/0001"]
    assert (clips[0].width_pixels, clips[0].height_pixels) == (16, 8)
    for index in range(2):
        assert clips[1].composite(index)[0, 0].tolist() == [index] * 3
        true = clips[1].truth(index)
        assert (true.pha.shape, true.fgr.shape) == ((8, 16), (8, 16, 3))
        assert (true.pha[0, 0], true.fgr[0, 0, 0]) == (10 + index, 20 + index)


def without_alpha(dataset: Path) -> None:
    shutil.rmtree(dataset / "0000" / "pha")


def without_composites(dataset: Path) -> None:
    shutil.rmtree(dataset / "0000" / "com")


def without_frames(dataset: Path) -> None:
    for path in (dataset / "0000" / "com").iterdir():
        path.unlink()


def without_a_frame(dataset: Path) -> None:
    (dataset / "0000" / "fgr" / "0001.jpg").unlink()


def of_other_names(dataset: Path) -> None:
    (dataset / "0000" / "pha" / "0001.png").rename(dataset / "0000" / "pha" / "0002.png")


def of_another_size(dataset: Path) -> None:
    write(dataset / "0000" / "pha" / "0001.png", "L", (8, 8))


def twice(dataset: Path) -> None:
    write(dataset / "0000" / "com" / "0001.jpg")


def no_picture(dataset: Path) -> None:
    (dataset / "0000" / "com" / "0001.png").write_bytes(b"no picture")


def of_16_bits(dataset: Path) -> None:
    deep = np.full((8, 16), 40_000, np.uint16)
    Image.fromarray(deep).save(dataset / "0000" / "pha" / "0001.png")


def emptied(dataset: Path) -> None:
    shutil.rmtree(dataset / "0000")
    shutil.rmtree(dataset / "moving")


def gone(dataset: Path) -> None:
    shutil.rmtree(dataset)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_alpha, "there is no folder .*0000/pha; a clip has com, pha and fgr"),
        (without_composites, "there is no folder .*0000/com"),
        (without_frames, "0000/com has no frames"),
        (without_a_frame, "2 frames in com and 1 in fgr"),
        (of_other_names, "the frame 0001 in com where pha has 0002"),
        (of_another_size, "0001.png is 8x8 pixels and .*0000.png 16x8"),
        (twice, "0000/com has several files for one frame"),
        (no_picture, "0001.png cannot be read as a picture"),
        (of_16_bits, "0001.png has more than 8 bits a channel"),
        (emptied, "has no clips"),
        (gone, "there is no folder"),
    ],
)
def test_what_is_wrong_is_said(dataset: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(dataset)
    with pytest.raises(DatasetError, match=message):
        find_clips(dataset)


def test_a_frame_that_is_cut_short(dataset: Path) -> None:
    """Its header is whole, so it is only found when it is read."""
    path = dataset / "0000" / "com" / "0001.png"
    noise = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    (clip, _) = find_clips(dataset)
    with pytest.raises(DatasetError, match=r"0001.png cannot be read to its end"):
        clip.composite(1)
