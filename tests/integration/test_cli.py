"""`rvm-matte` as a user runs it, against a real Triton server.

In this process, but for what only a process shows: its exit, signals, what it leaves behind.
"""

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from tests.support import http_faults as faults
from tests.support.clips import index_frame, read_frames, write_clip
from tests.support.commands import invoke
from tests.support.http_faults import FaultyServer
from tests.support.processes import client_segments, processes_named, segments, server_names

from rvm_client.cli.matte import matte
from rvm_client.server import TritonServer

PROGRAM = Path(sys.executable).with_name("rvm-matte")
LONG = 240


def rvm_matte_process(
    *arguments: object, preexec_fn: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=preexec_fn,
    )


@pytest.fixture
def rvm_matte(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command in this process, which goes on after it: its heap stays as it is."""
    monkeypatch.setattr("rvm_client.cli.matte.share_one_heap", lambda: None)

    def run(*arguments: object, **environment: str) -> Result:
        return invoke(matte, *arguments, **environment)

    return run


@pytest.fixture(scope="module")
def url(echo_server: TritonServer) -> str:
    """A running server; what its model sees in the pictures is not of interest here."""
    return echo_server.grpc_url


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [index_frame(i) for i in range(12)]
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [index_frame(i, 640, 360) for i in range(LONG)]
    return write_clip(tmp_path_factory.mktemp("clips") / "long.mp4", frames)


def test_json_tells_programs_what_was_written(clip: Path, tmp_path: Path, url: str) -> None:
    target = tmp_path / "out.webm"
    run = rvm_matte_process(clip, "-o", target, "--triton-url", url, "--json")
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["path"] == str(target)
    assert result["output_type"] == "alpha"
    assert (result["frames"], result["width_pixels"], result["height_pixels"]) == (12, 320, 192)
    assert result["bytes"] == target.stat().st_size
    assert run.stderr == ""


def test_flags_say_what_a_job_s_fields_say(
    rvm_matte: Callable[..., Result], clip: Path, tmp_path: Path, url: str
) -> None:
    """A picture behind, a preview, another size and another quality."""
    picture, preview, target = (tmp_path / name for name in ("sky.png", "p.png", "out.mp4"))
    Image.new("RGB", (300, 300), (40, 120, 220)).save(picture)
    flags = ("--background", picture, "--preview", preview, "--max-width", 160, "--crf", 30)
    run = rvm_matte(clip, "-o", target, *flags, "--triton-url", url, "--json")
    assert run.exit_code == 0, run.output
    result = json.loads(run.stdout)
    assert result["files"] == {"output": str(target), "preview": str(preview)}
    assert result["bytes"] == target.stat().st_size + preview.stat().st_size
    frames = list(read_frames(target))
    assert {(frame.width, frame.height) for frame in frames} == {(160, 96)}
    with Image.open(preview) as image:
        assert image.size == (160, 96)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--background", "nocolour"), "background is 'nocolour'; it must be a colour"),
        (("--crf", 5), "crf is 5; it must be 10 to 40"),
        (("--start-seconds", 2, "--end-seconds", 1), "end_seconds is 1.0"),
        (("--preview", "preview.webp"), "preview.webp does not end in .png, .jpg, .jpeg"),
    ],
)
def test_flags_that_cannot_be_used_are_one_sentence(
    rvm_matte: Callable[..., Result],
    clip: Path,
    tmp_path: Path,
    flags: tuple[object, ...],
    message: str,
) -> None:
    run = rvm_matte(clip, "-o", tmp_path / "out.mp4", *flags, "--triton-url", "127.0.0.1:1")
    assert (run.exit_code, run.stdout) == (2, "")
    assert run.stderr.startswith("error: ")
    assert message in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_contact_sheet_is_a_picture(
    rvm_matte: Callable[..., Result], clip: Path, tmp_path: Path, url: str
) -> None:
    sheet, target = tmp_path / "out.png", tmp_path / "out.webm"
    run = rvm_matte(clip, "-o", target, "--triton-url", url, "--contact-sheet", sheet)
    assert run.exit_code == 0, run.output
    with Image.open(sheet) as picture:
        assert picture.width > 3 * 320
        assert np.asarray(picture).std() > 10


def test_a_stream_without_timestamps_has_a_contact_sheet(
    rvm_matte: Callable[..., Result], tmp_path: Path, url: str
) -> None:
    """Its pictures are those that passed by: the source is not read again, by times it lacks."""
    frames = [np.full((96, 160, 3), 10 + 20 * index, np.uint8) for index in range(8)]
    raw = write_clip(tmp_path / "clip.h264", frames)
    sheet, target = tmp_path / "out.png", tmp_path / "out.mp4"
    flags = ("-o", target, "--triton-url", url, "--contact-sheet", sheet, "--json")
    run = rvm_matte(raw, *flags)
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["warnings"] == []
    with Image.open(sheet) as picture:
        column = np.asarray(picture)[:, 200, 1].astype(int)
    for level in (30, 70, 90, 130):
        # Beside its row of the sheet there is white.
        assert (np.abs(column - level) <= 2).sum() > 200


def test_a_contact_sheet_that_cannot_be_made_is_a_warning(
    rvm_matte: Callable[..., Result], clip: Path, tmp_path: Path, url: str
) -> None:
    target = tmp_path / "out.mp4"
    flags = ("-o", target, "--triton-url", url, "--contact-sheet", tmp_path / "gone" / "out.png")
    run = rvm_matte(clip, *flags)
    assert run.exit_code == 0, run.output
    assert "warning: the contact sheet" in run.stderr
    assert len(list(read_frames(target))) == 12


def test_too_little_memory_for_the_libraries_is_one_line(
    clip: Path, tmp_path: Path, url: str
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (250 << 20, 250 << 20))

    flags = ("-o", tmp_path / "out.mp4", "--triton-url", url)
    run = rvm_matte_process(clip, *flags, preexec_fn=limit)
    assert run.returncode == 6, run.stderr
    assert run.stderr.startswith("error: the memory or threads that this process may take")
    assert run.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def start(source: Path, target: Path, repository: Path, temporary: Path) -> "subprocess.Popen[str]":
    """The command with a server of its own, and a TMPDIR of its own by which both are known."""
    temporary.mkdir()
    return subprocess.Popen(
        [str(PROGRAM), str(source), "-o", str(target), "--frames-per-request", "1"],
        env={**os.environ, "RVM_MODEL_REPOSITORY": str(repository), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def assert_nothing_is_left(process: "subprocess.Popen[str]", server: str, temporary: Path) -> None:
    assert processes_named("tritonserver", environment=str(temporary)) == []
    assert client_segments(process.pid) == []
    assert segments(server) == []
    assert list(temporary.iterdir()) == []


def test_it_starts_a_server_of_its_own_and_stops_it(
    clip: Path, tmp_path: Path, model_repository: Path
) -> None:
    target, temporary = tmp_path / "out.mp4", tmp_path / "tmp"
    with start(clip, target, model_repository, temporary) as process:
        names = set[str]()
        while process.poll() is None:
            names |= server_names(temporary)
            time.sleep(0.05)
        out, errors = process.communicate()
    assert process.returncode == 0, errors
    assert len(list(read_frames(target))) == 12
    assert f"{target}: 12 frames of 320x192" in out
    (server,) = names
    assert_nothing_is_left(process, server, temporary)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_in_the_middle_it_leaves_nothing(
    long_clip: Path, tmp_path: Path, echo_repository: Path, stop: signal.Signals
) -> None:
    temporary, target = tmp_path / "tmp", tmp_path / "out" / "out.webm"
    target.parent.mkdir()
    with start(long_clip, target, echo_repository, temporary) as process:
        wait_for_file(target.parent, process)
        (server,) = server_names(temporary)
        assert segments(server)
        # As Ctrl-C does: to the whole foreground group.
        os.killpg(process.pid, stop)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1] == "error: stopped"
    assert list(target.parent.iterdir()) == []
    assert_nothing_is_left(process, server, temporary)


def test_what_a_killed_run_left_goes_with_the_next_output(
    clip: Path, long_clip: Path, tmp_path: Path, url: str
) -> None:
    arguments = [long_clip, "-o", tmp_path / "one.webm", "--triton-url", url]
    with subprocess.Popen([str(PROGRAM), *map(str, arguments)], stderr=subprocess.PIPE) as process:
        wait_for_file(tmp_path, process)
        process.kill()
    assert list(tmp_path.glob(".one.webm.*.part"))
    with subprocess.Popen([str(PROGRAM), *map(str, arguments)], stderr=subprocess.PIPE) as process:
        wait_for_file(tmp_path, process)
        # Another run, into the same folder at the same time.
        run = rvm_matte_process(clip, "-o", tmp_path / "two.mp4", "--triton-url", url)
        assert run.returncode == 0
        assert process.wait(120) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.webm", "two.mp4"]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_download_that_hangs_ends_with_a_signal(
    tmp_path: Path, url: str, stop: signal.Signals
) -> None:
    with FaultyServer() as server:
        server.answers(faults.mute())
        process = subprocess.Popen(
            [str(PROGRAM), server.url(), "-o", "out.mp4", "--triton-url", url],
            env=os.environ | {"RVM_ALLOW_PRIVATE_ADDRESSES": "true", "TMPDIR": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert server.arrived.wait(60)
        process.send_signal(stop)
        _, errors = process.communicate(timeout=5)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1] == "error: stopped"
    assert list(tmp_path.iterdir()) == []


def wait_for_file(folder: Path, process: "subprocess.Popen[Any]") -> None:
    """Until the half-written output appears."""
    deadline = time.monotonic() + 120
    while not any(folder.iterdir()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


BAD_INPUTS = {
    "no such file": (["gone.mp4", "-o", "out.webm"], 3, "there is no file gone.mp4"),
    "not a video": (["notes.txt", "-o", "out.webm"], 3, "notes.txt is not a video"),
    "no frames": (["empty.mp4", "-o", "out.webm"], 3, "empty.mp4 has no video stream"),
    "unreachable server": (
        ["clip.mp4", "-o", "out.webm", "--triton-url", "127.0.0.1:9"],
        4,
        "no Triton server answers at 127.0.0.1:9",
    ),
    "ratio of zero": (
        ["clip.mp4", "-o", "out.webm", "--downsample-ratio", "0"],
        2,
        "downsample ratio is 0.0",
    ),
    "ratio above one": (
        ["clip.mp4", "-o", "out.webm", "--downsample-ratio", "1.5"],
        2,
        "downsample ratio is 1.5",
    ),
    "ratio that is no number": (
        ["clip.mp4", "-o", "out.webm", "--downsample-ratio", "half"],
        2,
        "'half' is neither auto nor a number",
    ),
    "not a ratio": (
        ["clip.mp4", "-o", "out.webm", "--downsample-ratio", "nan"],
        2,
        "downsample ratio is nan",
    ),
    "unknown format": (["clip.mp4", "-o", "out.bmp"], 2, "out.bmp says no format"),
    "wrong suffix": (
        ["clip.mp4", "-o", "out.mp4", "--output-type", "alpha"],
        2,
        "out.mp4 does not end in .webm",
    ),
    "no folder": (["clip.mp4", "-o", "gone/out.webm"], 5, "there is no folder gone"),
    "a folder as output": (["clip.mp4", "-o", "folder.webm"], 5, "folder.webm is a folder"),
    "no frames a request": (
        ["clip.mp4", "-o", "out.webm", "--frames-per-request", "0"],
        2,
        "0 frames a request",
    ),
}


@pytest.fixture
def beside(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with what `BAD_INPUTS` name."""
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").symlink_to(clip)
    Path("notes.txt").write_text("These are notes.\n")
    Path("empty.mp4").write_bytes(empty_video())
    Path("folder.webm").mkdir()
    return tmp_path


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_gets_one_clear_line(
    rvm_matte: Callable[..., Result], case: str, beside: Path, url: str
) -> None:
    arguments, exit_code, message = BAD_INPUTS[case]
    before = set(beside.iterdir())
    run = rvm_matte(*arguments, RVM_TRITON_URL=url)
    assert run.exit_code == exit_code, run.stderr
    error_lines = [line for line in run.stderr.splitlines() if "rror: " in line]
    assert len(error_lines) == 1
    assert message in error_lines[0]
    assert run.stdout == ""
    assert set(beside.iterdir()) == before


@pytest.mark.usefixtures("beside")
def test_a_process_ends_in_one_line_without_a_trace(url: str) -> None:
    run = rvm_matte_process("notes.txt", "-o", "out.webm", "--triton-url", url)
    assert (run.returncode, run.stdout) == (3, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith("error: notes.txt is not a video")


def empty_video() -> bytes:
    """An MP4 file with a video stream and not one frame."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    return buffer.getvalue()


def test_errors_are_json_for_programs(tmp_path: Path) -> None:
    """Found while the server starts, which is then given up."""
    run = rvm_matte_process(tmp_path / "gone.mp4", "-o", tmp_path / "out.webm", "--json")
    assert run.returncode == 3
    assert "there is no file" in json.loads(run.stdout)["error"]
    assert run.stderr == ""


def test_a_folder_that_cannot_be_written_is_a_clear_error(
    rvm_matte: Callable[..., Result], clip: Path, url: str
) -> None:
    """/proc takes no files, whoever asks."""
    run = rvm_matte(clip, "-o", "/proc/self/out.webm", "--triton-url", url)
    assert run.exit_code == 5
    assert "/proc/self/out.webm cannot be written" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def test_a_full_disk_is_a_clear_error(clip: Path, tmp_path: Path, url: str) -> None:
    """The kernel refuses to let files grow beyond 2 KB: writing fails as on a full disk."""
    target = tmp_path / "out.mov"
    run = rvm_matte_process(clip, "-o", target, "--triton-url", url, preexec_fn=limit_size_of_files)
    assert run.returncode == 5
    assert f"{target} cannot be written: File too large" in run.stderr
    assert list(tmp_path.iterdir()) == []


def limit_size_of_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))


def peak_rss_kib(*arguments: object) -> int:
    command = [str(PROGRAM), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(long_clip: Path, tmp_path: Path, url: str) -> None:
    """All frames of the long clip would be 160 MB."""
    short = write_clip(tmp_path / "24.mp4", [index_frame(i, 640, 360) for i in range(24)])
    peaks = [
        peak_rss_kib(source, "-o", tmp_path / f"{source.stem}.webm", "--triton-url", url)
        for source in (short, long_clip)
    ]
    assert peaks[1] < 1.1 * peaks[0]
