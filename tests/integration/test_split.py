"""`rvm-batch --split`: a video in segments against the same in one piece, on real servers."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import Result
from tests.support.clips import alpha_plane, read_frames, to_rgb, write_clip
from tests.support.commands import invoke
from tests.support.echo_model import CountingModel, write_repository
from tests.support.servers import shared_server
from tests.support.sound import Track, write_sound_clip

from rvm_client.cli.batch import batch
from rvm_client.matte import MattingModel
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline import matte_video
from rvm_client.pixels import UInt8Array
from rvm_client.server import ServerOptions, TritonServer
from rvm_export.verify.goldens import INT8_CASES

PROGRAM = [sys.executable, "-c", "from rvm_client.cli.batch import batch; batch()"]
RATE = Fraction(15)
CUT = 33
FRAMES = 60


@pytest.fixture(scope="module")
def counting_server(
    tmp_path_factory: pytest.TempPathFactory, backend_cache: Path
) -> Iterator[TritonServer]:
    """Its model never forgets a frame, so that no guess of a state is right."""
    repository = write_repository(tmp_path_factory.mktemp("counts") / "models", CountingModel())
    options = ServerOptions(repository, cache_dir=backend_cache, threads=1, exit_timeout_s=0)
    with shared_server(options) as server:
        yield server


@pytest.fixture(scope="module")
def person() -> list[UInt8Array]:
    """A person before a camera that sways."""
    picture = INT8_CASES[0].src[0]
    angles = np.linspace(0, 4 * np.pi, FRAMES)
    offsets = [(round(16 + 15 * np.cos(a)), round(32 + 30 * np.sin(a))) for a in angles]
    return [np.ascontiguousarray(picture[y : y + 224 : 2, x : x + 416 : 2]) for y, x in offsets]


@pytest.fixture(scope="module")
def one_scene(person: list[UInt8Array], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds with sound."""
    folder = tmp_path_factory.mktemp("clips")
    silent = write_clip(folder / "silent.mp4", person, rate=RATE)
    sound = write_sound_clip(folder / "sound.mp4", [Track("aac", end_seconds=4)])
    return with_sound(silent, sound, folder / "one scene.mp4")


@pytest.fixture(scope="module")
def two_scenes(person: list[UInt8Array], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second one is on the other side of the picture, in another light."""
    other = [np.ascontiguousarray(picture[:, ::-1] // 2) for picture in person[CUT:]]
    path = tmp_path_factory.mktemp("clips") / "two scenes.mp4"
    return write_clip(path, [*person[:CUT], *other], rate=RATE)


@pytest.fixture
def split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Result, dict[str, Any]]]:
    """The command in this process; its last line of the report."""
    monkeypatch.setattr("rvm_client.cli.batch.share_one_heap", lambda: None)

    def run(
        server: TritonServer, source: Path, seconds: object, *flags: object
    ) -> tuple[Result, dict[str, Any]]:
        url = server.grpc_url
        place = ("-o", tmp_path, "--triton-url", url, "--split", seconds)
        result = invoke(batch, source, *place, *flags)
        report = tmp_path / "report.jsonl"
        return result, json.loads(report.read_text().splitlines()[-1]) if report.exists() else {}

    return run


def with_sound(picture: Path, sound: Path, target: Path) -> Path:
    with ExitStack() as stack:
        sources = [stack.enter_context(av.open(str(path))) for path in (picture, sound)]
        out = stack.enter_context(av.open(str(target), "w"))
        streams = [sources[0].streams.video[0], sources[1].streams.audio[0]]
        packets: list[tuple[Any, Any]] = []
        for source, stream in zip(sources, streams, strict=True):
            made = out.add_stream_from_template(stream)
            packets += [(made, packet) for packet in source.demux(stream) if packet.size]
        for made, packet in sorted(packets, key=lambda p: p[1].dts * p[1].time_base):
            packet.stream = made
            out.mux(packet)
    return target


def whole(server: TritonServer, source: Path, target: Path, kind: OutputType) -> Path:
    with MattingModel(server.grpc_url) as model:
        matte_video(source, target, model, MatteOptions(kind))
    return target


def packets(path: Path, kind: str) -> list[Any]:
    with av.open(str(path)) as container:
        return [p for p in container.demux() if p.size and p.stream.type == kind]


def times(path: Path) -> tuple[list[int], list[int]]:
    found = packets(path, "video")
    return [p.dts for p in found], sorted(p.pts for p in found)


def test_a_joint_at_a_cut_changes_nothing(
    split: Callable[..., Any], triton_server: TritonServer, two_scenes: Path, tmp_path: Path
) -> None:
    """ProRes has keyframes only, so that its packets tell of every pixel."""
    alone = whole(triton_server, two_scenes, tmp_path / "alone.mov", OutputType.ALPHA_PRORES)
    run, line = split(triton_server, two_scenes, 2, "--output-type", "alpha_prores")
    assert run.exit_code == 0, run.output
    assert (line["segments"], line["segments_made_again"], line["frames"]) == (2, 0, FRAMES)
    made = Path(line["output"])
    assert times(made) == times(alone)
    assert list(map(bytes, packets(made, "video"))) == list(map(bytes, packets(alone, "video")))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "alone.mov",
        "report.jsonl",
        "two scenes.mov",
    ]


@pytest.mark.parametrize("kind", [OutputType.GREENSCREEN, OutputType.ALPHA])
def test_a_joint_within_a_scene_is_within_the_tolerance(
    split: Callable[..., Any],
    triton_server: TritonServer,
    one_scene: Path,
    tmp_path: Path,
    kind: OutputType,
) -> None:
    alone = whole(triton_server, one_scene, tmp_path / f"alone{kind.suffix}", kind)
    run, line = split(triton_server, one_scene, 2, "--output-type", kind.value)
    assert run.exit_code == 0, run.output
    assert (line["segments"], line["frames"]) == (2, FRAMES)
    made = Path(line["output"])
    assert times(made) == times(alone)
    assert list(map(bytes, packets(made, "audio"))) == list(map(bytes, packets(alone, "audio")))
    assert len(packets(made, "audio")) > 0
    for a, b in zip(shown(made, kind), shown(alone, kind), strict=True):
        # Other pictures are keyframes, and mattes differ by what the tolerance allows.
        assert np.abs(a - b).mean() < 2


def shown(path: Path, kind: OutputType) -> Iterator[npt.NDArray[np.float64]]:
    """The frames as they look over black."""
    decoder = "libvpx-vp9" if kind is OutputType.ALPHA else None
    for frame in read_frames(path, decoder=decoder):
        colour = to_rgb(frame).astype(np.float64)
        if kind.facts.keeps_alpha:
            colour *= alpha_plane(frame)[..., np.newaxis] / 255
        yield colour


def test_what_was_guessed_wrong_is_made_again_from_the_true_state(
    split: Callable[..., Any], counting_server: TritonServer, one_scene: Path, tmp_path: Path
) -> None:
    flags = ("--output-type", "alpha_prores", "--downsample-ratio", 1)
    alone = whole(counting_server, one_scene, tmp_path / "alone.mov", OutputType.ALPHA_PRORES)
    run, line = split(counting_server, one_scene, 1, *flags)
    assert run.exit_code == 0, run.output
    # All but the first began with a state that was made up.
    assert (line["segments"], line["segments_made_again"]) == (4, 3)
    made = Path(line["output"])
    assert times(made) == times(alone)
    assert alphas(made) == alphas(alone)
    assert list(map(bytes, packets(made, "video"))) == list(map(bytes, packets(alone, "video")))


def alphas(path: Path) -> list[float]:
    """The mean alpha of each frame."""
    return [round(float(alpha_plane(frame).mean()), 2) for frame in read_frames(path)]


def test_a_killed_run_is_gone_on_with(
    counting_server: TritonServer, one_scene: Path, tmp_path: Path
) -> None:
    arguments = [one_scene, "-o", tmp_path, "--triton-url", counting_server.grpc_url]
    arguments += ["--split", "1", "--output-type", "alpha_prores"]
    command = [*PROGRAM, *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as first:
        deadline_s = time.monotonic() + 60
        while not (made := sorted(tmp_path.glob(".*.parts/*.edges.npz"))):
            assert time.monotonic() < deadline_s
            assert first.poll() is None
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
    # A second name of the file shows whether it is written anew.
    kept = tmp_path / "kept"
    kept.hardlink_to(made[0].with_suffix("").with_suffix(".part"))
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(again.stdout)["done"] == 1
    line = json.loads((tmp_path / "report.jsonl").read_text().splitlines()[-1])
    assert (line["segments"], line["frames"]) == (4, FRAMES)
    alone = whole(counting_server, one_scene, tmp_path / "alone.mov", OutputType.ALPHA_PRORES)
    found = list(map(bytes, packets(Path(line["output"]), "video")))
    assert found == list(map(bytes, packets(alone, "video")))
    assert not list(tmp_path.glob(".*"))
    assert kept.exists()


def test_segments_that_other_options_left_go(
    split: Callable[..., Any], echo_server: TritonServer, one_scene: Path, tmp_path: Path
) -> None:
    """Those of another video, whose name begins with the same, stay."""
    old = tmp_path / ".one scene.0123456789ab.3.parts"
    other = tmp_path / ".one scene.two.0123456789ab.3.parts"
    for folder in (old, other):
        folder.mkdir()
    run, line = split(echo_server, one_scene, 2)
    assert run.exit_code == 0, run.output
    assert line["segments"] == 2
    assert [path.name for path in tmp_path.glob(".*")] == [other.name]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--bitrate", 500_000), "what is left of a bit rate"),
        (("--output-type", "png_sequence"), "png_sequence is written in one piece"),
        (("--preview",), "the preview is chosen among all frames"),
    ],
)
def test_what_cannot_be_split(
    split: Callable[..., Any],
    echo_server: TritonServer,
    one_scene: Path,
    flags: tuple[object, ...],
    reason: str,
) -> None:
    run, line = split(echo_server, one_scene, 1, *flags)
    assert run.exit_code == 2
    assert reason in run.output
    assert not line
    run, line = split(echo_server, one_scene, "auto", *flags)
    assert run.exit_code == 0, run.output
    assert line["segments"] == 1


@pytest.mark.parametrize("value", ["0.1", "-1", "nan", "inf", "long"])
def test_a_length_that_is_none(
    split: Callable[..., Any], echo_server: TritonServer, one_scene: Path, value: str
) -> None:
    run, _ = split(echo_server, one_scene, value)
    assert run.exit_code == 2
    assert "neither auto, off nor at least 0.5 seconds" in run.output
