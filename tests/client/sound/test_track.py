from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from tests.support.clips import read_frames, read_index, to_rgb
from tests.support.sound import (
    Track,
    click_times,
    damage,
    flash_times,
    payloads,
    sound_span,
    write_sound_clip,
)

from rvm_client.decode import VideoReader
from rvm_client.encode import VIDEO_FORMATS, open_writer
from rvm_client.frames import MatteChunk
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.sound import SoundTrack

TYPES = [OutputType.GREENSCREEN, OutputType.ALPHA, OutputType.ALPHA_PRORES]
FRAME_SECONDS = 1 / 30
# A codec's delay that is not taken out is 6.5 ms (Opus), 21 ms (AAC) or 25 ms (MP3).
SYNC_SECONDS = 0.004
VFR_TICKS = {*range(0, 45, 4), *range(30, 60), 90, *range(93, 120, 3)}
VFR_TIMES = [tick / 60 for tick in sorted(VFR_TICKS)]


@dataclass(frozen=True)
class Source:
    """A clip with sound, and types it becomes: where its sound is copied, and where it is not."""

    suffix: str
    track: Track
    types: Sequence[OutputType]
    frame_times_seconds: Sequence[float] | None = None


GREENSCREEN, ALPHA, PRORES = TYPES
SOURCES = {
    "aac in mp4": Source("mp4", Track(), (GREENSCREEN, ALPHA, PRORES)),
    "aac at 44.1 kHz, mono": Source("mp4", Track(rate=44_100, layout="mono"), (GREENSCREEN, ALPHA)),
    "aac in mkv, rounded to milliseconds": Source("mkv", Track(), (GREENSCREEN, ALPHA)),
    "aac in mpeg-ts": Source("ts", Track(), (PRORES, ALPHA)),
    "mp3": Source("mkv", Track("libmp3lame", rate=44_100), (GREENSCREEN, ALPHA)),
    "pcm": Source("mov", Track("pcm_s16le"), (PRORES, GREENSCREEN)),
    "opus": Source("mkv", Track("libopus"), (ALPHA, PRORES)),
    "vorbis": Source("mkv", Track("vorbis"), (ALPHA, GREENSCREEN)),
    "flac at 44.1 kHz": Source("mkv", Track("flac", rate=44_100), TYPES),
    "ac3, 5.1": Source("mkv", Track("ac3", layout="5.1"), (GREENSCREEN, ALPHA)),
    "aac, 5.1": Source("mp4", Track(layout="5.1"), (PRORES, ALPHA)),
    "pcm, 7.1": Source("mkv", Track("pcm_s16le", layout="7.1"), (PRORES, GREENSCREEN)),
    "sound starts late": Source("mp4", Track(start_seconds=0.32), (GREENSCREEN, ALPHA)),
    "sound starts late, to transcode": Source("mkv", Track("flac", start_seconds=0.3), TYPES),
    "sound ends early": Source("mp4", Track(end_seconds=1.7), (GREENSCREEN, ALPHA)),
    "sound with a gap": Source("mkv", Track("flac", gap_seconds=(0.7, 1.2)), TYPES),
    "video starts late": Source(
        "mp4", Track(), (GREENSCREEN, ALPHA), [0.5 + i / 30 for i in range(45)]
    ),
    "variable frame rate": Source("mp4", Track(), TYPES, VFR_TIMES),
}
CASES = [(name, output_type) for name, source in SOURCES.items() for output_type in source.types]


@pytest.fixture(scope="module")
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of one of SOURCES, by its name."""
    made: Source = SOURCES[request.param]
    path = tmp_path_factory.mktemp("sources") / f"source.{made.suffix}"
    return write_sound_clip(path, [made.track], frame_times_seconds=made.frame_times_seconds)


def remake(
    source: Path,
    target: Path,
    output_type: OutputType,
    *,
    origin_seconds: float | None = None,
    end_seconds: float | None = None,
) -> list[str]:
    """Decode and encode again, everything opaque; the warnings about the sound."""
    warnings: list[str] = []
    track = SoundTrack.open(
        source,
        VIDEO_FORMATS[output_type].container,
        warn=warnings.append,
        origin_seconds=origin_seconds,
        end_seconds=end_seconds,
    )
    with VideoReader(source) as reader:
        with open_writer(target, MatteOptions(output_type), reader.info, sound=track) as writer:
            for chunk in reader.chunks(8):
                pha = np.full(chunk.src.shape[:3], 255, np.uint8)
                writer.write(MatteChunk(chunk.src, pha, chunk.pts))
        if track is not None:
            with track:
                pass
    return warnings


def assert_in_sync(path: Path, count: int = 2) -> None:
    clicks, flashes = click_times(path), flash_times(path)
    assert len(flashes) == count
    assert clicks == pytest.approx(flashes, abs=SYNC_SECONDS)


def sound_stream(path: Path) -> tuple[str, int, str]:
    """Codec, sample rate and layout of the only sound track."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        context = stream.codec_context
        return context.codec.canonical_name, context.sample_rate, context.layout.name


@pytest.mark.parametrize(("source", "output_type"), CASES, indirect=["source"])
def test_clicks_and_flashes_stay_together(
    tmp_path: Path, source: Path, output_type: OutputType
) -> None:
    target = tmp_path / f"out{output_type.suffix}"
    assert remake(source, target, output_type) == []
    assert_in_sync(target)
    assert flash_times(target) == pytest.approx(flash_times(source), abs=0.0011)


@pytest.mark.parametrize(
    ("suffix", "track", "output_type"),
    [
        ("mp4", Track(), OutputType.GREENSCREEN),
        ("mkv", Track(), OutputType.GREENSCREEN),
        ("mp4", Track(), OutputType.ALPHA_PRORES),
        ("mkv", Track("libmp3lame"), OutputType.GREENSCREEN),
        ("mov", Track("pcm_s24le"), OutputType.ALPHA_PRORES),
        ("webm", Track("libopus"), OutputType.ALPHA),
        ("mkv", Track("vorbis"), OutputType.ALPHA),
    ],
)
def test_what_the_container_takes_is_copied(
    tmp_path: Path, suffix: str, track: Track, output_type: OutputType
) -> None:
    codec = "libvpx-vp9" if suffix == "webm" else "libx264"
    source = write_sound_clip(tmp_path / f"source.{suffix}", [track], codec=codec)
    target = tmp_path / f"out{output_type.suffix}"
    remake(source, target, output_type)
    assert payloads(target) == payloads(source)
    assert sound_stream(target) == sound_stream(source)


@pytest.mark.parametrize(
    ("track", "output_type", "expected"),
    [
        (Track(rate=44_100), OutputType.ALPHA, ("opus", 48_000, "stereo")),
        (Track(layout="mono"), OutputType.ALPHA, ("opus", 48_000, "mono")),
        (Track("flac", rate=44_100), OutputType.GREENSCREEN, ("aac", 44_100, "stereo")),
        (Track("libopus"), OutputType.ALPHA_PRORES, ("aac", 48_000, "stereo")),
        (Track("ac3", layout="5.1(side)"), OutputType.ALPHA, ("opus", 48_000, "5.1")),
        (Track("ac3", layout="5.1(side)"), OutputType.GREENSCREEN, ("aac", 48_000, "5.1")),
        (Track("pcm_s16le", layout="7.1"), OutputType.GREENSCREEN, ("aac", 48_000, "stereo")),
    ],
)
def test_what_the_container_does_not_take_is_transcoded(
    tmp_path: Path, track: Track, output_type: OutputType, expected: tuple[str, int, str]
) -> None:
    source = write_sound_clip(tmp_path / "source.mkv", [track])
    target = tmp_path / f"out{output_type.suffix}"
    remake(source, target, output_type)
    assert sound_stream(target) == expected


@pytest.mark.parametrize("output_type", TYPES)
def test_of_several_tracks_the_default_one_is_kept(tmp_path: Path, output_type: OutputType) -> None:
    other = Track("flac", clicks_seconds=(0.2,), is_default=False)
    default = Track("flac", is_default=True)
    source = write_sound_clip(tmp_path / "source.mkv", [other, default, other])
    target = tmp_path / f"out{output_type.suffix}"
    remake(source, target, output_type)
    sound_stream(target)
    assert_in_sync(target)


@pytest.mark.parametrize("output_type", TYPES)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_ends_with_the_picture(tmp_path: Path, suffix: str, output_type: OutputType) -> None:
    source = write_sound_clip(tmp_path / f"source.{suffix}", [Track(end_seconds=4)])
    target = tmp_path / f"out{output_type.suffix}"
    remake(source, target, output_type)
    assert_in_sync(target)
    assert sound_span(target)[1] == pytest.approx(2.0, abs=FRAME_SECONDS)


@pytest.mark.parametrize("output_type", TYPES)
def test_a_part_of_the_sound_is_cut_to_the_sample(tmp_path: Path, output_type: OutputType) -> None:
    source = write_sound_clip(tmp_path / "source.mp4", [Track(clicks_seconds=(0.2, 0.5, 1.5, 1.9))])
    target = tmp_path / f"out{output_type.suffix}"
    remake(source, target, output_type, origin_seconds=0.41, end_seconds=1.2)
    assert click_times(target) == pytest.approx([0.09, 1.09], abs=SYNC_SECONDS)
    start, end = sound_span(target)
    assert start == pytest.approx(0, abs=SYNC_SECONDS)
    assert end == pytest.approx(1.2, abs=FRAME_SECONDS)


def test_a_copied_part_keeps_its_packets(tmp_path: Path) -> None:
    source = write_sound_clip(tmp_path / "source.mp4", [Track()])
    target = tmp_path / "out.mp4"
    remake(source, target, OutputType.GREENSCREEN, origin_seconds=0.41, end_seconds=1.2)
    kept, all_payloads = payloads(target), payloads(source)
    assert 50 < len(kept) < len(all_payloads)
    starts = range(len(all_payloads) - len(kept) + 1)
    assert any(all_payloads[start : start + len(kept)] == kept for start in starts)


@pytest.mark.parametrize("output_type", TYPES)
def test_a_silent_source_stays_silent(tmp_path: Path, output_type: OutputType) -> None:
    source = write_sound_clip(tmp_path / "source.mp4", [])
    target = tmp_path / f"out{output_type.suffix}"
    assert remake(source, target, output_type) == []
    with av.open(str(target)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize("output_type", TYPES)
@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("mkv", "flac")])
def test_undecodable_sound_is_left_out_with_a_warning(
    tmp_path: Path, suffix: str, codec: str, output_type: OutputType
) -> None:
    source = write_sound_clip(tmp_path / f"source.{suffix}", [Track(codec)])
    damage(source, (-1, 9))
    target = tmp_path / f"out{output_type.suffix}"
    (warning,) = remake(source, target, output_type)
    assert warning.startswith("the sound is left out")
    assert [read_index(to_rgb(f)) for f in read_frames(target)] == list(range(60))
    with av.open(str(target)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize("output_type", TYPES)
def test_damage_in_the_middle_is_silence_and_what_follows_is_in_sync(
    tmp_path: Path, output_type: OutputType
) -> None:
    source = write_sound_clip(tmp_path / "source.mkv", [Track("flac")])
    damage(source, (0.7, 1.2))
    target = tmp_path / f"out{output_type.suffix}"
    (warning,) = remake(source, target, output_type)
    assert "packets of the sound are damaged" in warning
    assert_in_sync(target)


def test_a_leap_of_the_timestamps_is_not_filled(tmp_path: Path) -> None:
    source = write_sound_clip(
        tmp_path / "source.mkv",
        [Track("flac", leap_seconds=(1.0, 3000), clicks_seconds=(0.5,))],
        flashes_seconds=(0.5,),
    )
    target = tmp_path / "out.webm"
    assert remake(source, target, OutputType.ALPHA) == []
    assert_in_sync(target, count=1)
    assert sound_span(target)[1] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("output_type", TYPES)
def test_two_recordings_joined_stay_in_sync(tmp_path: Path, output_type: OutputType) -> None:
    """The timestamps of sound and picture start again in the middle."""
    one = write_sound_clip(tmp_path / "one.ts", [Track()])
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one.read_bytes() * 2)
    target = tmp_path / f"out{output_type.suffix}"
    assert remake(joined, target, output_type) == []
    clicks, flashes = click_times(target), flash_times(target)
    assert len(flashes) == 4
    assert clicks == pytest.approx(flashes, abs=FRAME_SECONDS)


def test_a_sound_that_ends_early_does_not_keep_the_picture_in_memory(tmp_path: Path) -> None:
    source = write_sound_clip(tmp_path / "source.mp4", [Track(end_seconds=0.2)], fps=10)
    target = tmp_path / "out.mov"
    track = SoundTrack.open(source, "mov", warn=pytest.fail)
    assert track is not None
    noise = np.random.default_rng(0).integers(0, 255, (50, 64, 192, 3)).astype(np.uint8)
    with VideoReader(source) as reader, track:
        info = reader.info
        with open_writer(target, MatteOptions(OutputType.ALPHA_PRORES), info, sound=track) as out:
            step = round(1 / (info.average_fps * info.time_base))
            pts = tuple(i * step for i in range(len(noise)))
            out.write(MatteChunk(noise, np.full(noise.shape[:3], 255, np.uint8), pts))
            (growing,) = tmp_path.glob(".out.mov*")
            written = growing.stat().st_size
    assert written > target.stat().st_size * 0.5


@pytest.mark.parametrize("duration", [f"00:00:{'9' * 400}.000", f"{'9' * 400}:00:01.000", "::nan"])
def test_a_duration_that_says_nothing_does_no_harm(tmp_path: Path, duration: str) -> None:
    clip, source, target = (tmp_path / name for name in ("clip.mkv", "source.mkv", "out.mp4"))
    write_sound_clip(clip, [Track()])
    with av.open(str(clip)) as before, av.open(str(source), "w") as after:
        streams = [after.add_stream_from_template(stream) for stream in before.streams]
        # The muxer writes what is true under the name that counts, so the names are exchanged.
        streams[0].metadata["DURATIOX"] = duration
        for packet in before.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                after.mux(packet)
    content = source.read_bytes().replace(b"DURATION", b"DURATIOZ")
    source.write_bytes(content.replace(b"DURATIOX", b"DURATION"))
    with av.open(str(source)) as container:
        assert container.streams.video[0].metadata["DURATION"] == duration
    assert remake(source, target, OutputType.GREENSCREEN) == []
    assert_in_sync(target)
