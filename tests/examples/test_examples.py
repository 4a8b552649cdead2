"""The small programs of examples/, run as their docstrings say, and what they write."""

import re
import shlex
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.support.clips import read_frames, to_rgb, write_clip

from rvm_export.verify.goldens import INT8_CASES

ROOT = Path(__file__).parents[2]
CASE = next(case for case in INT8_CASES if case.is_even)
HEIGHT, WIDTH = CASE.size
BLUE = (20, 40, 220)


def run(name: str, *arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=120, cwd=cwd
    )


def printed(name: str, *arguments: object) -> str:
    done = run(name, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A person in three pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, frame in zip(("a.png", "b.PNG", "c.bmp"), CASE.src, strict=False):
        Image.fromarray(frame).save(folder / name)
    (folder / "notes.txt").touch()
    return folder


def test_a_folder_of_pictures(triton_url: str, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "made" / "mattes"
    said = printed("matte_folder.py", pictures, "--output", output, "--server", triton_url)
    assert said == f"{output}: 3 pictures\n"
    assert sorted(path.name for path in output.iterdir()) == ["a.png", "b.png", "c.png"]
    for path in output.iterdir():
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("RGBA", (WIDTH, HEIGHT))
            assert_shows_a_person(np.asarray(image)[..., 3])


def assert_shows_a_person(alpha: npt.NDArray[np.uint8]) -> None:
    """Some of it is a person for sure, and some is not."""
    assert 0.05 < (alpha > 250).mean() < 0.95
    assert (alpha < 5).mean() > 0.05


def test_over_a_picture(triton_url: str, tmp_path: Path) -> None:
    video = write_clip(tmp_path / "my_video.mp4", list(CASE.src), rate=Fraction(25))
    beach, output = tmp_path / "beach.png", tmp_path / "over.mp4"
    Image.new("RGB", (64, 64), BLUE).save(beach)
    said = printed("over_a_picture.py", video, beach, "--output", output, "--server", triton_url)
    assert said == f"{output}: {len(CASE.src)} frames\n"
    made = list(read_frames(output))
    assert len(made) == len(CASE.src)
    for frame, source, alpha in zip(made, CASE.src, CASE.pha, strict=True):
        picture = to_rgb(frame).astype(int)
        behind, person = alpha == 0, alpha == 255
        # Within what H.264 loses. Another matrix would be off by 7; not all of it, as edges bleed.
        off = np.abs(picture - BLUE).max(axis=-1)
        assert np.median(off[behind]) < 4
        assert np.percentile(off[behind], 90) < 24
        kept = np.abs(picture - source.astype(int)).max(axis=-1)
        assert np.percentile(kept[person], 90) < 40


def test_many_sessions(triton_url: str) -> None:
    said = printed("many_sessions.py", "--sessions", 3, "--frames", 6, "--server", triton_url)
    rates = re.findall(r"^(thread|task) (\d): ([\d.]+) frames/s$", said, re.MULTILINE)
    assert [(kind, number) for kind, number, _ in rates] == [
        *(("thread", str(i)) for i in (1, 2, 3)),
        *(("task", str(i)) for i in (1, 2, 3)),
    ]
    assert all(float(rate) > 0 for _, _, rate in rates)


ARGUMENTS = {
    "matte_folder.py": "pictures --output mattes",
    "over_a_picture.py": "my_video.mp4 beach.png --output over.mp4",
    "many_sessions.py": "",
}


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.usefixtures("pictures")
def test_without_a_server_there_is_one_line(name: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "my_video.mp4", list(CASE.src[:1]))
    Image.new("RGB", (8, 8)).save(tmp_path / "beach.png")
    done = run(name, *ARGUMENTS[name].split(), "--server", "127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "no Triton server answers at 127.0.0.1:9" in line


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_the_docstring_gives_the_command(path: Path) -> None:
    (line,) = [x for x in path.read_text().splitlines() if x.startswith("    python examples/")]
    assert shlex.split(line)[1] == f"examples/{path.name}"
    help_text = printed(path.name, "--help")
    flags = [word for word in shlex.split(line) if word.startswith("--")]
    assert flags
    assert all(flag in help_text for flag in flags)
