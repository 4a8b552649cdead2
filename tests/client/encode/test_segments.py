"""WebM with alpha by several encoders side by side, against the same by one."""

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from unittest import mock

import av
import av.error
import numpy as np
import numpy.typing as npt
import pytest
from av.video.codeccontext import VideoCodecContext
from tests.client.encode.test_writer import video_info
from tests.support.clips import read_frames
from tests.support.processes import resident_bytes

from rvm_client.encode import video_file
from rvm_client.encode.edges import bleed_edges
from rvm_client.encode.formats import VP9_ALPHA, VideoFormat
from rvm_client.encode.segments import SegmentEncoder, SegmentPlan, frame_bytes, plan_segments
from rvm_client.encode.video_file import VideoFile
from rvm_client.encode.yuv import yuva420_frame
from rvm_client.errors import OutputError
from rvm_client.frames import Picture
from rvm_client.machine import Hardware
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import UInt8Array

WIDTH, HEIGHT = 192, 144
# With segments of 128 frames: the third encoder is at work, and the first one is again.
FRAMES = 400
JOINTS = [128, 256, 384]
# Enough for one encoder, and for three.
ONE, THREE = 4, 12
OPTIONS = MatteOptions(OutputType.ALPHA)
TICKS = [1001 * i for i in range(FRAMES)]


def picture_of(index: int) -> tuple[UInt8Array, UInt8Array]:
    """Colour and alpha of a soft-edged disc with a pattern on it, which both move."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    dx, dy = 40 * np.sin(index / 17), 20 * np.sin(index / 11)
    distance = np.hypot(x - WIDTH / 2 - dx, y - HEIGHT / 2 - dy)
    pha = np.clip(255 * (50 - distance) / 12, 0, 255).astype(np.uint8)
    waves = np.sin((x - dx) / 3) * np.cos((y - dy) / 5)
    noise = np.random.default_rng(index).normal(0, 4, (HEIGHT, WIDTH))
    fgr = 128 + np.multiply.outer(60 * waves + noise, [1.0, 0.8, -0.6])
    return fgr.astype(np.uint8), pha


@pytest.fixture(scope="module")
def pictures() -> list[tuple[UInt8Array, UInt8Array]]:
    return [picture_of(index) for index in range(FRAMES)]


def alpha_frame(picture: Picture) -> av.VideoFrame:
    return yuva420_frame(bleed_edges(picture.fgr, picture.pha), picture.pha)


def open_file(
    path: Path, cores: int, options: MatteOptions = OPTIONS, format_: VideoFormat = VP9_ALPHA
) -> VideoFile:
    info = video_info(WIDTH, HEIGHT)
    file = VideoFile(path, format_, alpha_frame, info, options, Hardware())
    with mock.patch.object(video_file, "available_cores", return_value=cores):
        file.open()
    return file


def write_all(
    file: VideoFile, pictures: Sequence[tuple[UInt8Array, UInt8Array]], pts: Sequence[int] = TICKS
) -> None:
    """In one buffer for all, as the slots of shared memory are used again."""
    fgr, pha = np.empty((HEIGHT, WIDTH, 3), np.uint8), np.empty((HEIGHT, WIDTH), np.uint8)
    for (colour, alpha), ticks in zip(pictures, pts, strict=False):
        fgr[:], pha[:] = colour, alpha
        file.write(Picture(fgr, pha, ticks, ticks / 30_000))


def encoder_threads() -> set[str]:
    names = {thread.name for thread in threading.enumerate()}
    return {name for name in names if name.startswith(("encode-", "make-frame"))}


@dataclass(frozen=True)
class Packet:
    pts: int | None
    dts: int | None
    duration: int | None
    is_keyframe: bool
    content: bytes


def packets_of(path: Path) -> list[Packet]:
    with av.open(str(path)) as container:
        return [
            Packet(
                packet.pts,
                packet.dts,
                packet.duration,
                packet.is_keyframe,
                bytes(packet) + bytes(packet.get_sidedata("matroska_block_additional")),
            )
            for packet in container.demux(video=0)
            if packet.size
        ]


def times(path: Path) -> list[tuple[int | None, int | None, int | None]]:
    return [(packet.pts, packet.dts, packet.duration) for packet in packets_of(path)]


def make(
    path: Path,
    cores: int,
    pictures: Sequence[tuple[UInt8Array, UInt8Array]],
    *,
    pts: Sequence[int] = TICKS,
    options: MatteOptions = OPTIONS,
) -> Path:
    file = open_file(path, cores, options)
    write_all(file, pictures, pts)
    file.finish()
    file.publish()
    assert encoder_threads() == set()
    return path


@pytest.fixture(scope="module")
def single(
    pictures: list[tuple[UInt8Array, UInt8Array]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return make(tmp_path_factory.mktemp("single") / "one.webm", ONE, pictures)


@pytest.fixture(scope="module")
def joined(
    pictures: list[tuple[UInt8Array, UInt8Array]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return make(tmp_path_factory.mktemp("joined") / "three.webm", THREE, pictures)


# --- what comes out


def test_times_and_keyframes_are_those_of_one_encoder(single: Path, joined: Path) -> None:
    assert times(joined) == times(single)
    assert len(times(joined)) == FRAMES
    keyframes = [index for index, packet in enumerate(packets_of(joined)) if packet.is_keyframe]
    assert keyframes == [0, *JOINTS]
    assert keyframes == [i for i, packet in enumerate(packets_of(single)) if packet.is_keyframe]


def test_the_file_is_as_large(single: Path, joined: Path) -> None:
    assert joined.stat().st_size == pytest.approx(single.stat().st_size, rel=0.03)


def psnr_db(decoded: UInt8Array, source: UInt8Array) -> float:
    error = np.square(decoded.astype(float) - source).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-3)))


def rows_of(frame: av.VideoFrame, plane: int) -> UInt8Array:
    rows = np.frombuffer(memoryview(frame.planes[plane]), np.uint8)
    return rows.reshape(frame.planes[plane].height, -1)[:, : frame.planes[plane].width]


def qualities(
    frames: Iterable[av.VideoFrame], pictures: Sequence[tuple[UInt8Array, UInt8Array]]
) -> npt.NDArray[np.float64]:
    """PSNR in dB of luma, the colour differences and alpha: [frames, 4]."""
    result = []
    for frame, (fgr, pha) in zip(frames, pictures, strict=True):
        source = alpha_frame(Picture(fgr, pha, 0, 0))
        result.append([psnr_db(rows_of(frame, i), rows_of(source, i)) for i in range(4)])
    return np.array(result)


def assert_joints_do_not_show(
    parts: npt.NDArray[np.float64], whole: npt.NDArray[np.float64], joints: Sequence[int]
) -> None:
    """Frames around joints are as good as those of one encoder, and as its worst elsewhere."""
    around = [i for joint in joints for i in range(joint - 8, joint + 9)]
    elsewhere = np.setdiff1d(np.arange(len(whole)), around)
    assert (parts[around] >= whole[around] - 1).all()
    assert (parts[around].min(axis=0) >= whole[elsewhere].min(axis=0) - 0.5).all()
    assert (parts[around].mean(axis=0) >= whole[around].mean(axis=0) - 0.2).all()
    assert (parts.mean(axis=0) >= whole.mean(axis=0) - 0.2).all()


def test_the_joints_do_not_show(
    single: Path, joined: Path, pictures: list[tuple[UInt8Array, UInt8Array]]
) -> None:
    one, three = (
        qualities(read_frames(path, decoder="libvpx-vp9"), pictures) for path in (single, joined)
    )
    assert_joints_do_not_show(three, one, JOINTS)


def test_joints_where_one_encoder_has_no_keyframe_do_not_show(
    pictures: list[tuple[UInt8Array, UInt8Array]],
) -> None:
    one, two = (
        qualities(decoded_frames(plan, 120), pictures[:120])
        for plan in (SegmentPlan(1, 2, 128, 8), SegmentPlan(2, 2, 40, 22))
    )
    assert_joints_do_not_show(two, one, [40, 80])


def decoded_frames(plan: SegmentPlan, count: int) -> list[av.VideoFrame]:
    encoder = SegmentEncoder([vp9_context() for _ in range(plan.encoders)], plan)
    packets = [p for i in range(count) for p in encoder.encode(partial(numbered_frame, i))]
    packets += encoder.finish()
    assert [packet.pts for packet in packets] == list(range(count))
    assert [p.pts for p in packets if p.is_keyframe] == [*range(0, count, plan.frames_per_segment)]
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    assert isinstance(decoder, VideoCodecContext)
    return [frame for packet in packets for frame in decoder.decode(packet)]


def test_the_same_frames_give_the_same_packets(
    tmp_path: Path, joined: Path, pictures: list[tuple[UInt8Array, UInt8Array]]
) -> None:
    again = make(tmp_path / "again.webm", THREE, pictures)
    assert packets_of(again) == packets_of(joined)


@pytest.mark.parametrize("count", [1, 5, 128])
def test_up_to_one_segment_is_what_one_encoder_makes(
    tmp_path: Path, single: Path, pictures: list[tuple[UInt8Array, UInt8Array]], count: int
) -> None:
    path = make(tmp_path / "out.webm", THREE, pictures[:count])
    # The last packet's duration says that the video ends there.
    assert packets_of(path)[:-1] == packets_of(single)[: count - 1]
    assert packets_of(path)[-1].content == packets_of(single)[count - 1].content


def test_every_encoder_is_set_up_as_the_first_one(
    tmp_path: Path, pictures: list[tuple[UInt8Array, UInt8Array]]
) -> None:
    """The second segment is what one encoder would begin a video with."""
    path = make(tmp_path / "out.webm", THREE, pictures[:256])
    alone = make(tmp_path / "alone.webm", ONE, pictures[128:256])
    contents = [packet.content for packet in packets_of(path)]
    assert contents[128:] == [packet.content for packet in packets_of(alone)]


def test_any_times_are_kept(tmp_path: Path, pictures: list[tuple[UInt8Array, UInt8Array]]) -> None:
    """From half a frame to a minute between frames, also at the joints."""
    steps = np.random.default_rng(0).choice(
        [500, 1001, 3003, 1_800_000], 260, p=[0.4, 0.4, 0.1, 0.1]
    )
    pts = [int(ticks) for ticks in np.cumsum(steps)]
    one = make(tmp_path / "one.webm", ONE, pictures[:260], pts=pts)
    three = make(tmp_path / "three.webm", THREE, pictures[:260], pts=pts)
    assert times(three) == times(one)
    # WebM counts milliseconds.
    expected = [Fraction(ticks, 30) for ticks in pts]
    shown = [packet.pts for packet in packets_of(three)]
    assert all(abs(ms - exact) <= 1 for ms, exact in zip(shown, expected, strict=True) if ms)


@pytest.mark.parametrize(
    "options", [replace(OPTIONS, prefer_quality=True), replace(OPTIONS, crf=40)]
)
def test_other_qualities(
    tmp_path: Path, pictures: list[tuple[UInt8Array, UInt8Array]], options: MatteOptions
) -> None:
    one = make(tmp_path / "one.webm", ONE, pictures[:140], options=options)
    two = make(tmp_path / "two.webm", 8, pictures[:140], options=options)
    assert times(two) == times(one)
    assert [i for i, packet in enumerate(packets_of(two)) if packet.is_keyframe] == [0, 128]
    assert len(list(read_frames(two, decoder="libvpx-vp9"))) == 140


def test_a_bit_rate_is_kept_by_one_encoder(
    tmp_path: Path, pictures: list[tuple[UInt8Array, UInt8Array]]
) -> None:
    options = replace(OPTIONS, bitrate_bits_per_second=300_000)
    one, three = (
        make(tmp_path / f"{cores}.webm", cores, pictures[:140], options=options)
        for cores in (ONE, THREE)
    )
    assert packets_of(three) == packets_of(one)


# --- the plan


@pytest.mark.parametrize(
    ("cores", "size", "encoders", "frames"),
    [
        (1, (1920, 1080), 1, 128),
        (7, (1920, 1080), 1, 128),
        (8, (1920, 1080), 2, 128),
        (12, (1920, 1080), 3, 100),
        (16, (1920, 1080), 4, 66),
        (64, (1920, 1080), 4, 66),
        (64, (1280, 720), 4, 128),
        # Little fits into memory: fewer encoders rather than a keyframe every few frames.
        (64, (3840, 2160), 2, 46),
        (64, (8192, 8192), 1, 128),
    ],
)
def test_encoders_and_segments_follow_from_cores_and_memory(
    cores: int, size: tuple[int, int], encoders: int, frames: int
) -> None:
    waiting_bytes = frame_bytes("yuva420p", *size)
    assert waiting_bytes == size[0] * size[1] * 5 // 2
    plan = plan_segments(cores, 4, waiting_bytes)
    assert (plan.encoders, plan.frames_per_segment) == (encoders, frames)
    if encoders > 1:
        assert plan.max_waiting_frames * waiting_bytes <= 512 * 2**20
        # Otherwise the last one would never have anything to do.
        assert plan.max_waiting_frames > frames * (encoders - 1) / 2


@pytest.mark.parametrize(("cores", "encoders", "frames"), [(8, 1, 128), (16, 2, 98), (64, 2, 98)])
def test_two_jobs_at_once_share_cores_and_memory(cores: int, encoders: int, frames: int) -> None:
    waiting_bytes = frame_bytes("yuva420p", 1920, 1080)
    plan = plan_segments(cores, 4, waiting_bytes, jobs_at_once=2)
    assert (plan.encoders, plan.frames_per_segment) == (encoders, frames)
    assert 2 * plan.max_waiting_frames * waiting_bytes <= 512 * 2**20


# --- errors and ends


def test_leaving_early_ends_all_threads_and_leaves_nothing(
    tmp_path: Path, pictures: list[tuple[UInt8Array, UInt8Array]]
) -> None:
    file = open_file(tmp_path / "out.webm", THREE)
    write_all(file, pictures[:200])
    assert encoder_threads()
    file.discard()
    assert encoder_threads() == set()
    assert list(tmp_path.iterdir()) == []


REFUSED = replace(VP9_ALPHA, codec_options={**VP9_ALPHA.codec_options, "cpu-used": "99"})


@pytest.mark.parametrize("cores", [ONE, THREE])
def test_an_encoder_that_refuses_is_an_output_error(
    tmp_path: Path, pictures: list[tuple[UInt8Array, UInt8Array]], cores: int
) -> None:
    file = open_file(tmp_path / "out.webm", cores, format_=REFUSED)

    def write_and_finish() -> None:
        write_all(file, pictures[:3])
        file.finish()

    with pytest.raises(OutputError, match="cannot be written"):
        write_and_finish()
    file.discard()
    assert encoder_threads() == set()
    assert list(tmp_path.iterdir()) == []


def vp9_context(**changed: str) -> VideoCodecContext:
    context = av.CodecContext.create("libvpx-vp9", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuva420p"
    context.time_base = Fraction(1, 30)
    context.options = {**VP9_ALPHA.codec_options, **changed}
    return context


def numbered_frame(index: int) -> av.VideoFrame:
    frame = alpha_frame(Picture(*picture_of(index), pts=index, seconds=0))
    frame.pts, frame.time_base = index, Fraction(1, 30)
    return frame


def test_the_error_of_one_encoder_comes_out_once() -> None:
    """The second of two encoders cannot be opened: its first frame is the fourth one."""
    plan = SegmentPlan(2, 1, frames_per_segment=3, max_waiting_frames=4)
    encoder = SegmentEncoder([vp9_context(), vp9_context(**{"cpu-used": "99"})], plan)
    packets = list[int | None]()

    def encode_all() -> None:
        for index in range(12):
            ready = encoder.encode(partial(numbered_frame, index))
            packets.extend(packet.pts for packet in ready)
        packets.extend(packet.pts for packet in encoder.finish())

    with pytest.raises(av.error.FFmpegError):
        encode_all()
    encoder.close()
    encoder.close()
    assert packets == [0, 1, 2][: len(packets)]
    assert encoder_threads() == set()


def test_the_error_of_a_frame_comes_out() -> None:
    plan = SegmentPlan(2, 1, frames_per_segment=3, max_waiting_frames=4)
    encoder = SegmentEncoder([vp9_context(), vp9_context()], plan)

    def fail() -> av.VideoFrame:
        raise ValueError("no such colour")

    def encode_and_finish() -> None:
        encoder.encode(fail)
        list(encoder.finish())

    with pytest.raises(ValueError, match="no such colour"):
        encode_and_finish()
    encoder.close()
    assert encoder_threads() == set()


def test_pictures_do_not_pile_up_before_they_are_made_into_frames() -> None:
    """The first frame is late: of the pictures behind it, no more are taken than encoders."""
    plan = SegmentPlan(2, 1, frames_per_segment=2, max_waiting_frames=40)
    encoder = SegmentEncoder([vp9_context(), vp9_context()], plan)
    ready, first_is_there = list[int | None](), threading.Event()
    taken = 0

    def frame(index: int) -> av.VideoFrame:
        if index == 0:
            first_is_there.wait()
        return numbered_frame(index)

    def encode_all() -> None:
        nonlocal taken
        for index in range(40):
            ready.extend(packet.pts for packet in encoder.encode(partial(frame, index)))
            taken += 1

    writer = threading.Thread(target=encode_all)
    writer.start()
    writer.join(timeout=1)
    taken_before_the_first = taken
    first_is_there.set()
    writer.join()
    ready.extend(packet.pts for packet in encoder.finish())
    assert taken_before_the_first <= 3
    assert ready == list(range(40))


def test_memory_does_not_grow_with_the_video() -> None:
    """Frames come faster than two encoders take them; all of them would be 450 MB."""
    width, height = 640, 480
    rng = np.random.default_rng(0)
    fgr = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    pha: UInt8Array = np.full((height, width), 255, np.uint8)
    contexts = [vp9_context(**{"cpu-used": "8", "crf": "60"}) for _ in range(2)]
    for context in contexts:
        context.width, context.height = width, height
    encoder = SegmentEncoder(contexts, SegmentPlan(2, 1, 32, 18))

    def frame(index: int) -> av.VideoFrame:
        made = yuva420_frame(fgr, pha)
        made.pts, made.time_base = index, Fraction(1, 30)
        return made

    def encode(indexes: range) -> int:
        return sum(len(encoder.encode(partial(frame, index))) for index in indexes)

    count, sizes = 0, []
    for start in range(0, 700, 10):
        count += encode(range(start, start + 10))
        sizes.append(resident_bytes())
    assert count + len(list(encoder.finish())) == 700
    assert max(sizes[10:]) - max(sizes[:10]) < 60_000_000


FULL_DISK = """
import sys
from pathlib import Path
from rvm_client.errors import OutputError
from tests.client.encode import test_segments as our
file = our.open_file(Path(sys.argv[1]), our.THREE)
try:
    our.write_all(file, [our.picture_of(index) for index in range(140)])
    file.finish()
except OutputError as exc:
    print(exc)
file.discard()
assert our.encoder_threads() == set()
"""


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """The kernel refuses to let the file grow: the write fails as on a full disk."""
    run = subprocess.run(
        [sys.executable, "-B", "-c", FULL_DISK, str(tmp_path / "out.webm")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000)),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "cannot be written: File too large" in run.stdout
    assert list(tmp_path.iterdir()) == []
