"""The check of a GPU, rehearsed on the CPU; and that what is wrong fails."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench.gpu_check.__main__ import chosen
from bench.gpu_check.jobs import check_codecs, check_files, check_way, has_nvenc_format
from bench.gpu_check.lines import CheckFailedError, Verdict, measured, passed, run
from bench.gpu_check.speed import check_same
from bench.gpu_check.subject import CheckSettings, Subject
from PIL import Image
from tests.support.clips import index_frame, write_clip

from rvm_client.output_types import FileRole, OutputType
from rvm_client.pipeline import MatteResult, StageSeconds
from rvm_client.wire import MODEL_NAME
from rvm_export import script
from rvm_export.weights.weights import Weights
from rvm_export.wire import Layout, ModelKind

ROOT = Path(__file__).parents[2]
ONLY_ON_A_GPU = re.compile("on the GPU|TF32 forced on|NVDEC")


@dataclass(frozen=True)
class CheckRun:
    """What one call of the program did."""

    status: int
    output: str
    errors: str
    report: dict[str, Any]

    def verdicts(self) -> dict[str, str]:
        """Of each line, by its title, as the JSON file has them."""
        return {line["check"]: line["verdict"] for line in self.report["lines"]}

    def rows(self) -> dict[str, str]:
        """The same from the table that was printed."""
        cells = [line.split("|") for line in self.output.splitlines() if line.startswith("| ")]
        return {row[1].strip(): row[2].strip() for row in cells[2:]}


def gpu_check(output: Path, *arguments: object) -> CheckRun:
    """Run the program as scripts/gpu-check does, where no GPU is to be seen."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu_check", *map(str, arguments), "-o", str(output)],
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    file = output / "gpu-check.json"
    report = json.loads(file.read_text()) if file.exists() else {}
    return CheckRun(done.returncode, done.stdout, done.stderr, report)


@pytest.mark.slow
def test_a_rehearsal_on_the_cpu(tmp_path: Path) -> None:
    found = gpu_check(tmp_path, "--device", "cpu", "--quick")
    assert found.status == 0, found.output + found.errors
    assert found.report["passed"]
    assert found.report["machine"]["device"] == "cpu"
    verdicts = found.verdicts()
    assert found.rows() == verdicts
    for title, verdict in verdicts.items():
        assert (verdict == "not here") == bool(ONLY_ON_A_GPU.search(title)), title
    jobs = [title for title in verdicts if title.startswith("job: ")]
    assert len(jobs) == 2 * len(OutputType)
    for line in found.report["lines"]:
        if line["verdict"] == "measured" or line["check"].startswith(("goldens", "streams")):
            assert line["figures"] or line["verdict"] == "not here"
    for layout in Layout:
        name = ModelKind(layout=layout).name
        assert (tmp_path / "checked_models" / name / "1" / "model.pt").is_file()


@pytest.mark.slow
def test_a_model_with_one_wrong_weight_fails_and_the_others_go_on(
    yuv_model_repository: Path, weights: Weights, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(yuv_model_repository, repository)
    network = weights.network()
    bias = network.project_mat.conv.bias
    assert bias is not None
    with torch.no_grad():
        bias[3] += 0.05
    wrong = script.script(network, torch.float32, Layout.RGB)
    torch.jit.save(wrong, repository / MODEL_NAME / "1" / "model.pt")
    only = [
        word for title in ("models: ", "TF32 is off", "goldens: RGB") for word in ("--only", title)
    ]
    arguments = ("--device", "cpu", "--quick", "--repository", repository, *only)
    found = gpu_check(tmp_path / "out", *arguments)
    assert found.status == 1, found.errors
    assert not found.report["passed"]
    verdicts = {
        "models: as they were given": "FAIL",
        "server: TF32 is off": "PASS",
        "goldens: RGB": "FAIL",
        "goldens: RGB, TF32 forced on": "not here",
    }
    assert found.rows() == found.verdicts() == verdicts
    assert re.search(r"goldens: RGB .* differs by up to \d+ levels of alpha", found.output)
    assert "Traceback" not in found.errors


@pytest.mark.slow
def test_a_processor_is_not_taken_for_a_gpu(
    yuv_model_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton, NVDEC and the jobs go on without a GPU; the check must not."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    settings = CheckSettings(yuv_model_repository, True, "cuda", 1, is_given=True)
    titles = ("run on the GPU", "decode: ", "job: alpha, ")
    with Subject(settings, tmp_path) as subject:
        lines = {line.title: line.outcome for line in run(chosen(subject, titles), lambda: None)}
    assert {outcome.verdict for outcome in lines.values()} == {Verdict.FAIL}
    assert [outcome.words.partition(";")[0] for outcome in lines.values()] == [
        "Triton runs rvm_mobilenetv3 on a processor",
        "decoded by h264",
        "frames went to the server as RGB by shared memory, and not as I420 in shared memory",
        "the video was decoded by h264 and not by NVDEC",
    ]


def test_without_a_gpu_it_says_so_in_one_sentence(tmp_path: Path) -> None:
    found = gpu_check(tmp_path)
    assert (found.status, found.output) == (2, "")
    assert re.fullmatch(r"error: .*finds no GPU.*\n", found.errors)
    assert not list(tmp_path.iterdir())


def test_a_check_that_raises_fails_in_one_sentence() -> None:
    def breaks() -> Any:
        raise ZeroDivisionError("by nothing\nat all")

    def is_wrong() -> Any:
        raise CheckFailedError("it is wrong")

    failures: list[int] = []
    checks = [
        ("first", breaks),
        ("second", is_wrong),
        ("third", lambda: passed("right")),
        ("fourth", lambda: measured("3 ms", ms=3)),
    ]
    lines = list(run(checks, lambda: failures.append(1)))
    assert [(line.outcome.verdict, line.outcome.words) for line in lines] == [
        (Verdict.FAIL, "ZeroDivisionError: by nothing"),
        (Verdict.FAIL, "it is wrong"),
        (Verdict.PASS, "right"),
        (Verdict.MEASURED, "3 ms"),
    ]
    assert len(failures) == 2


def result(path: Path = Path("out.mp4"), **changes: Any) -> MatteResult:
    """A job's result on a GPU with all engines."""
    values: dict[str, Any] = {
        "path": path,
        "files": {FileRole.OUTPUT: path},
        "also": {},
        "output_type": OutputType.GREENSCREEN,
        "width_pixels": 320,
        "height_pixels": 192,
        "frames": 3,
        "warm_up_frames": 0,
        "keyed_frames": 0,
        "cuts": 0,
        "average_fps": 30.0,
        "duration_seconds": 0.1,
        "bytes": 1,
        "downsample_ratio": 1.0,
        "transport": "shared memory",
        "pixel_layout": "I420",
        "video_decoder": "h264_nvdec",
        "video_encoder": "h264_nvenc",
        "model": "mobilenetv3",
        "model_version": "1",
        "processing_seconds": 1.0,
        "stage_seconds": StageSeconds(1.0, 1.0, 1.0),
    }
    return MatteResult(**values | changes)


def test_engines_that_did_what_they_were_to_do() -> None:
    check_codecs(result(), nvdec=True, nvenc=True)
    check_codecs(result(video_encoder="libvpx-vp9"), nvdec=True, nvenc=False)
    check_codecs(result(video_decoder="h264", video_encoder="libx264"), nvdec=False, nvenc=False)


@pytest.mark.parametrize(
    ("decoder", "encoder", "engines", "words"),
    [
        ("h264", "h264_nvenc", True, "decoded by h264 and not by NVDEC"),
        ("h264_nvdec", "libx264", True, "encoded by libx264 and not by NVENC"),
        ("h264_nvdec", "libx264", False, "decoded by h264_nvdec and not by software"),
    ],
)
def test_engines_that_did_not(decoder: str, encoder: str, engines: bool, words: str) -> None:
    made = result(video_decoder=decoder, video_encoder=encoder)
    with pytest.raises(CheckFailedError, match=words):
        check_codecs(made, nvdec=engines, nvenc=engines)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"transport": "gRPC"}, "as I420 by gRPC, and not as I420 in shared memory"),
        ({"pixel_layout": "RGB"}, "as RGB by shared memory, and not as I420"),
        ({"warnings": ("it is slower",)}, "it is slower"),
    ],
)
def test_frames_that_went_another_way(changes: dict[str, Any], words: str) -> None:
    check_way(result(), planes=True)
    with pytest.raises(CheckFailedError, match=words):
        check_way(result(**changes), planes=True)


def test_files_that_are_not_complete(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "out.mp4", [index_frame(i) for i in range(3)])
    check_files(result(clip), 3)
    with pytest.raises(CheckFailedError, match=r"out\.mp4 has 3 frames of 4"):
        check_files(result(clip), 4)
    with pytest.raises(CheckFailedError, match="made 1 files, and not 2"):
        check_files(result(clip, output_type=OutputType.FOREGROUND_AND_MATTE), 3)
    pictures = tmp_path / "out.zip"
    with zipfile.ZipFile(pictures, "w") as file:
        file.writestr("000000.png", b"")
    with pytest.raises(CheckFailedError, match="has 1 frames of 3"):
        check_files(result(pictures, output_type=OutputType.PNG_SEQUENCE), 3)


def test_an_animation_may_have_fewer_pictures(tmp_path: Path) -> None:
    first, *others = (Image.new("RGB", (16, 16), (80 * i, 0, 0)) for i in range(3))
    first.save(tmp_path / "out.gif", save_all=True, append_images=others)
    animation = result(tmp_path / "out.gif", output_type=OutputType.GIF)
    check_files(animation, 6)
    for frames in (2, 13):
        with pytest.raises(CheckFailedError, match=f"has 3 pictures of {frames} frames"):
            check_files(animation, frames)


def test_mattes_that_differ() -> None:
    fgr, pha = np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 2, 2), np.uint8)
    check_same([(fgr, pha)], [(fgr, pha)], "mattes")
    with pytest.raises(CheckFailedError, match="mattes differ by up to 255 levels"):
        check_same([(fgr, pha)], [(fgr, np.full_like(pha, 255))], "mattes")


def test_types_that_a_gpu_encodes() -> None:
    assert {kind for kind in OutputType if has_nvenc_format(kind)} == {
        OutputType.GREENSCREEN, OutputType.MATTE, OutputType.FOREGROUND_AND_MATTE,
        OutputType.ALPHA_HEVC, OutputType.AUTO_WEB,
        OutputType.ALPHA_STACKED,
    }  # fmt: skip
