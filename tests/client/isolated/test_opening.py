"""What comes out of the decoding process is what comes out without it."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorTrc
from PIL import Image
from tests.client.encode.test_writer import video_info
from tests.support.clips import (
    filtered,
    frame_of,
    index_frame,
    read_index,
    write_clip,
    write_frames,
)
from tests.support.sound import Track, click_times, damage, write_sound_clip

from rvm_client.backdrop import open_backdrop
from rvm_client.encode import open_writer
from rvm_client.errors import InputError
from rvm_client.frames import MatteChunk, SourceChunk, VideoInfo
from rvm_client.isolated import Opener, OpensHere
from rvm_client.isolated.messages import SOUND_BYTES
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import I420, RGB, UInt8Array
from rvm_client.sound import SoundTrack

FRAMES = 14


def pictures(count: int = FRAMES, width: int = 320, height: int = 192) -> list[UInt8Array]:
    return [index_frame(i, width, height) for i in range(count)]


def plain(path: Path) -> Path:
    return write_clip(path.with_suffix(".mp4"), pictures())


def variable_rate(path: Path) -> Path:
    pts = [i * i * 40 + i * 500 for i in range(FRAMES)]
    return write_clip(path.with_suffix(".mp4"), pictures(), pts=pts)


def turned(path: Path) -> Path:
    frames = [frame_of(picture) for picture in pictures(6)]
    return write_frames(
        path.with_suffix(".mp4"),
        frames,
        turned_degrees=90,
        mirrored=(True, False),
        sample_aspect_ratio=Fraction(4, 3),
    )


def hdr(path: Path) -> Path:
    frames = [frame_of(picture, "yuv420p10le", matrix=9) for picture in pictures(1)]
    for frame in frames:
        frame.color_primaries, frame.color_trc = 9, ColorTrc.SMPTE2084
    return write_frames(path.with_suffix(".mkv"), frames, codec="ffv1")


def interlaced(path: Path) -> Path:
    frames = filtered([frame_of(picture) for picture in pictures(8)], [("setfield", "mode=tff")])
    options = {"flags": "+ilme+ildct"}
    return write_frames(path.with_suffix(".mp4"), frames, options=options)


def breaks_off(path: Path) -> Path:
    whole = write_clip(path.with_suffix(".mkv"), pictures())
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) * 2 // 3])
    return whole


CLIPS: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "plain": (plain, {}),
    "variable rate": (variable_rate, {}),
    "turned, mirrored, of other pixels": (turned, {}),
    "hdr": (hdr, {}),
    "interlaced": (interlaced, {}),
    "breaks off": (breaks_off, {}),
    "a part, with what leads to it": (
        plain,
        {"options": MatteOptions(start_seconds=0.2, end_seconds=0.4)},
    ),
    "scaled down": (plain, {"options": MatteOptions(max_width_pixels=100)}),
    "in planes": (plain, {"takes_planes": True}),
    "not in planes": (turned, {"takes_planes": True}),
}

Read = tuple[VideoInfo, list[SourceChunk], int, str]


def read(opener: Opener, clip: Path, arguments: dict[str, Any], frames_per_chunk: int) -> Read:
    with opener.video(clip, **arguments) as reader:
        chunks = list(reader.chunks(frames_per_chunk))
        return reader.info, chunks, reader.damaged_packets, reader.decoder


@pytest.mark.parametrize("name", CLIPS)
def test_frames_times_and_facts_are_the_same(opener: Opener, folder: Path, name: str) -> None:
    make, arguments = CLIPS[name]
    clip = make(folder / name.replace(" ", "-"))
    info, chunks, damaged_packets, decoder = read(opener, clip, arguments, 4)
    here = read(OpensHere(), clip, arguments, 4)
    assert (info, damaged_packets, decoder) == (here[0], here[2], here[3])
    for chunk, right in zip(chunks, here[1], strict=True):
        assert (chunk.pts, chunk.role) == (right.pts, right.role)
        assert np.array_equal(chunk.src, right.src)


def test_the_layouts_are_tried(opener: Opener, folder: Path) -> None:
    clip = plain(folder / "layouts")
    with opener.video(clip, takes_planes=True) as reader:
        assert isinstance(reader.info.layout, I420)
    with opener.video(clip) as reader:
        assert reader.info.layout == RGB


def test_a_chunk_stays_as_it_is_as_long_as_somebody_has_it(opener: Opener, folder: Path) -> None:
    clip = write_clip(folder / "long.mp4", pictures(80))
    with opener.video(clip) as reader:
        kept = [chunk.src[:1] for chunk in reader.chunks(4)]
        assert [read_index(src[0]) for src in kept] == list(range(0, 80, 4))
    # And longer than the reader.
    assert read_index(kept[-1][0]) == 76


def test_memory_that_nobody_has_is_used_again(
    opener: Opener, folder: Path, open_descriptors: Callable[[], int]
) -> None:
    clip = write_clip(folder / "again.mp4", pictures(80))
    before = open_descriptors()
    addresses = set()
    with opener.video(clip) as reader:
        for chunk in reader.chunks(2):
            addresses.add(chunk.src.ctypes.data)
            del chunk
    assert len(addresses) <= 4
    assert open_descriptors() == before


@pytest.fixture
def open_descriptors() -> Callable[[], int]:
    return lambda: len(list(Path("/proc/self/fd").iterdir()))


def test_a_video_that_is_given_up_leaves_the_next_one_alone(opener: Opener, folder: Path) -> None:
    clip = plain(folder / "given-up")
    with opener.video(clip) as reader:
        next(reader.chunks(2))
    assert len(read(opener, clip, {}, 4)[1]) == FRAMES // 4 + 1


def test_pictures_with_alpha_are_the_same(opener: Opener, folder: Path) -> None:
    clip = folder / "alpha.webm"
    info = video_info(320, 192)
    with open_writer(clip, MatteOptions(OutputType.ALPHA), info) as writer:
        fgr = np.stack(pictures(6))
        pha = np.arange(6 * 192 * 320).reshape(6, 192, 320).astype(np.uint8)
        writer.write(MatteChunk(fgr, pha, tuple(1000 * i for i in range(6))))
    both = []
    for way in (opener, OpensHere()):
        with way.video(clip, keeps_alpha=True) as reader:
            both.append([(m.fgr.copy(), m.pha.copy(), m.pts) for m in reader.mattes()])
    for seen, right in zip(*both, strict=True):
        assert seen[2] == right[2]
        assert np.array_equal(seen[0], right[0])
        assert np.array_equal(seen[1], right[1])


def no_video(path: Path) -> Path:
    path.write_text("no video\x1b[31m")
    return path


@pytest.mark.parametrize("make", [no_video, plain, lambda path: path / "gone"])
def test_refusals_are_the_same(opener: Opener, folder: Path, make: Callable[[Path], Path]) -> None:
    clip = make(folder / "refused")
    messages = []
    for way in (opener, OpensHere()):
        with pytest.raises(InputError) as caught:
            way.video(clip, limits=Limits(max_frame_pixels=1000))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_limit_that_is_passed_on_the_way_is_the_same(opener: Opener, folder: Path) -> None:
    clip = write_clip(folder / "frames.h264", pictures(9))
    messages = []
    for way in (opener, OpensHere()):
        with way.video(clip, limits=Limits(max_frames=5)) as reader:
            chunks = reader.chunks(2)
            assert [len(next(chunks).pts) for _ in range(2)] == [2, 2]
            with pytest.raises(InputError) as caught:
                list(chunks)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "max_frames" in messages[0]


def test_backgrounds_are_the_same(opener: Opener, folder: Path) -> None:
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (90, 160, 3), np.uint8)).save(folder / "image.png")
    write_clip(folder / "loop.mp4", pictures(10), rate=Fraction(10))
    info = video_info(322, 194)
    moments = [0, 0.25, 0.95, 1.05, 2.35]
    for name in ("image.png", "loop.mp4"):
        with (
            open_backdrop(folder / name, info, opener=opener) as seen,
            open_backdrop(folder / name, info) as right,
        ):
            for moment in moments:
                assert np.array_equal(np.asarray(seen.at(moment)), np.asarray(right.at(moment)))


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n broken", b"no picture"])
def test_a_background_that_is_none_is_named(opener: Opener, folder: Path, content: bytes) -> None:
    path = folder / "background"
    path.write_bytes(content)
    with (
        pytest.raises(InputError, match="background"),
        open_backdrop(path, video_info(64, 64), opener=opener),
    ):
        pass


TRACKS = {
    "aac": ("mp4", Track()),
    "aac, mono, 44.1 kHz": ("mp4", Track(rate=44_100, layout="mono")),
    "aac, 5.1": ("mp4", Track(layout="5.1")),
    "aac in mkv": ("mkv", Track()),
    "mp3": ("mkv", Track("libmp3lame", rate=44_100)),
    "opus": ("mkv", Track("libopus")),
    "alac": ("mov", Track("alac")),
    "pcm": ("mov", Track("pcm_s16le")),
    "flac": ("mkv", Track("flac", rate=44_100)),
    "pcm, 7.1": ("mkv", Track("pcm_s16le", layout="7.1")),
}
PARTS: list[dict[str, Any]] = [{}, {"origin_seconds": 0.4, "end_seconds": 1.1}]


@pytest.fixture(scope="module")
def track_clip(request: pytest.FixtureRequest, folder: Path) -> Path:
    suffix, track = TRACKS[request.param]
    path = folder / f"{request.param.replace(' ', '-')}.{suffix}"
    return write_sound_clip(path, [track])


def muxed(
    opener: Opener, clip: Path, target: Path, **part: Any
) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Codec, and time and payload of each packet, of a file with the sound alone; the warnings."""
    warnings: list[str] = []
    format_ = target.suffix.strip(".")
    track = SoundTrack.open(clip, format_, warn=warnings.append, open_sound=opener.sound, **part)
    if track is None:
        return [], warnings
    with track, av.open(str(target), "w") as container:
        track.add_to(container)
        for tenth in range(1, 10):
            track.mux_until(container, tenth / 10)
        track.finish(container, 2.0)
    with av.open(str(target)) as container:
        (stream,) = container.streams
        context = stream.codec_context
        assert isinstance(context, av.AudioCodecContext)
        head = (context.codec.canonical_name, context.sample_rate, context.layout.name)
        packets = [(p.pts, p.duration, bytes(p)) for p in container.demux(stream) if p.size]
        return [(*head, context.extradata), *packets], warnings


@pytest.mark.parametrize("track_clip", TRACKS, indirect=True)
def test_sound_is_the_same(opener: Opener, track_clip: Path, tmp_path: Path) -> None:
    for suffix in (".mp4", ".mov", ".webm"):
        for part in PARTS:
            seen, warnings = muxed(opener, track_clip, tmp_path / f"seen{suffix}", **part)
            right, _ = muxed(OpensHere(), track_clip, tmp_path / f"right{suffix}", **part)
            assert len(seen) > 2
            assert warnings == []
            assert seen == right, (suffix, part)


@pytest.mark.parametrize(
    "track", [Track("vorbis"), Track("libopus", rate=24_000)], ids=["vorbis", "opus"]
)
def test_sound_with_an_odd_delay_is_not_copied_and_stays_in_time(
    opener: Opener, folder: Path, tmp_path: Path, track: Track
) -> None:
    clip = write_sound_clip(folder / f"delay-{track.codec}.mkv", [track])
    seen, warnings = muxed(opener, clip, tmp_path / "seen.webm")
    assert warnings == []
    assert seen[0][0] == "opus"
    assert click_times(tmp_path / "seen.webm") == pytest.approx(click_times(clip), abs=0.004)


def test_sound_that_cannot_go_on_ends_with_a_warning(
    opener: Opener, folder: Path, tmp_path: Path
) -> None:
    clip = folder / "large-packet.mkv"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48_000)
        for index, size in enumerate((4_000, 4_000, 2 * SOUND_BYTES)):
            packet = av.Packet(bytes(size))
            packet.stream, packet.time_base = stream, Fraction(1, 48)
            packet.pts = packet.dts = 20 * index
            container.mux(packet)
    seen, (warning,) = muxed(opener, clip, tmp_path / "seen.mov")
    assert sum(len(packet[2]) for packet in seen[1:]) == 8_000
    assert warning.startswith("the sound ends early")
    assert str(2 * SOUND_BYTES) in warning


def test_warnings_about_the_sound_are_the_same(
    opener: Opener, folder: Path, tmp_path: Path
) -> None:
    clip = damage(write_sound_clip(folder / "damaged.mkv", [Track("flac")]), (0.5, 0.9))
    nothing = damage(write_sound_clip(folder / "nothing.mkv", [Track("ac3")]), (0, 2))
    silent = plain(folder / "silent")
    for path in (clip, nothing, silent):
        seen = muxed(opener, path, tmp_path / "seen.mp4")
        assert seen == muxed(OpensHere(), path, tmp_path / "right.mp4")
    assert muxed(opener, clip, tmp_path / "again.mp4")[1]
