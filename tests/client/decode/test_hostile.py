"""Files that were made to hurt, or are as odd as if they were."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorTrc
from tests.support.clips import frame_of, index_frame, read_index, write_clip, write_frames
from tests.support.limited import run_limited
from tests.support.sound import Track, write_sound_clip

from rvm_client.decode import VideoReader, check_source
from rvm_client.decode.colour import SourceColour
from rvm_client.decode.geometry import UPRIGHT, Geometry
from rvm_client.decode.graphs import Conversion, Graphs
from rvm_client.errors import InputError
from rvm_client.options import Limits, MatteOptions

READ = """
import sys
from pathlib import Path
from rvm_client.decode import VideoReader
from rvm_client.errors import InputError
try:
    with VideoReader(Path(sys.argv[1])) as reader:
        print(sum(len(chunk.pts) for chunk in reader.chunks(1)), reader.damaged_packets)
except InputError as exc:
    print(exc)
"""
MEBIBYTE = 1 << 20
BT2020 = 9


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_titles_in_other_encodings_do_no_harm(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path / f"clip{suffix}", [index_frame(i) for i in range(3)])
    tagged = tmp_path / f"tagged{suffix}"
    with av.open(str(path)) as before, av.open(str(tagged), "w") as after:
        after.metadata["title"] = "Sommer in XXXX"
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.size:
                packet.stream = stream
                after.mux(packet)
    tagged.write_bytes(tagged.read_bytes().replace(b"XXXX", "Köln".encode("latin-1")))
    with VideoReader(tagged) as reader:
        (chunk,) = reader.chunks(8)
    assert [read_index(picture) for picture in chunk.src] == [0, 1, 2]


def png(width: int, height: int) -> bytes:
    """A black picture as a PNG file, made without the picture."""
    packer = zlib.compressobj()
    row = bytes(1 + 3 * width)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", data),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def write_pngs(path: Path, pictures: list[bytes]) -> Path:
    """A MOV file of them; its header says that they are small."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=30)
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "rgb24"
        stream.codec_context.open()
        container.start_encoding()
        for index, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream, packet.time_base = stream, Fraction(1, 30)
            packet.pts = packet.dts = index
            packet.duration, packet.is_keyframe = 1, True
            container.mux(packet)
    return path


def test_a_picture_of_a_gigabyte_is_not_decoded(tmp_path: Path) -> None:
    """It is passed over as damage is, and leaves nothing where it is all there is."""
    small, bomb = png(320, 192), png(16_000, 16_000)
    late = run_limited(READ, write_pngs(tmp_path / "late.mov", [small] * 5 + [bomb] * 4))
    assert late.output.split() == ["5", "4"]
    first = run_limited(READ, write_pngs(tmp_path / "first.mov", [bomb] * 4))
    assert "above the limit of 9437184 pixels a frame (max_frame_pixels)" in first.output
    # Of one picture alone, RGB is 768 MB.
    assert max(late.peak_bytes, first.peak_bytes) < 300 * MEBIBYTE


def test_what_is_at_the_limit_is_decoded_whatever_its_width(tmp_path: Path) -> None:
    """FFmpeg counts lines of a multiple of 64 pixels."""
    path = write_clip(tmp_path / "clip.mp4", [index_frame(i, 162, 480) for i in range(3)])
    with VideoReader(path, limits=Limits(max_frame_pixels=162 * 480)) as reader:
        assert sum(len(chunk.pts) for chunk in reader.chunks(8)) == 3


def hdr_picture(folder: Path, transfer: int) -> bytes:
    """A stream of one keyframe."""
    frame = frame_of(index_frame(5, 160, 64), "yuv420p10le", matrix=BT2020)
    frame.color_trc, frame.color_primaries = transfer, ColorPrimaries.BT2020
    options = {"x265-params": "log-level=none", "preset": "ultrafast"}
    path = write_frames(folder / f"{transfer}.hevc", [frame], codec="libx265", options=options)
    return path.read_bytes()


def test_a_video_may_go_back_and_forth_between_two_kinds_of_hdr(tmp_path: Path) -> None:
    """Each takes seconds to set up: done once a frame, this would take five minutes or more."""
    kinds = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
    path = tmp_path / "flips.hevc"
    path.write_bytes(b"".join(hdr_picture(tmp_path, kind) for kind in kinds) * 30)
    assert run_limited(READ, path, cpu_s=100).output.split() == ["60", "0"]


def test_far_too_many_kinds_of_hdr_are_refused() -> None:
    geometry = Geometry(64, 64, 64, 64, UPRIGHT, Fraction(1))
    graphs = Graphs[None]()
    colours = [
        SourceColour(BT2020, False, primaries, ColorTrc.SMPTE2084, 10) for primaries in (1, 9)
    ]
    # Those that deinterlace hold frames back, and are not kept.
    wanted = [Conversion("yuv420p10le", colour, geometry, True, False) for colour in colours * 20]
    with pytest.raises(InputError, match="kind of its HDR more than 16 times"):
        list(map(graphs.for_conversion, wanted))


def test_a_stream_that_begins_within_the_file_does_no_harm(tmp_path: Path) -> None:
    """Recordings that are joined: the sound of the second one is new.

    FFmpeg looks at 5 MB at the start and some at the end when it opens a file.
    """
    rng = np.random.default_rng(5)
    noise = [rng.integers(0, 256, (64, 192, 3)).astype(np.uint8) for _ in range(400)]
    silent = write_clip(tmp_path / "a.ts", noise, options={"crf": "1"})
    loud = write_sound_clip(tmp_path / "b.ts", [Track(), Track("mp2"), Track("ac3")])
    path = tmp_path / "joined.ts"
    path.write_bytes(silent.read_bytes() + loud.read_bytes() + silent.read_bytes())
    with VideoReader(path) as reader:
        assert sum(len(chunk.pts) for chunk in reader.chunks(8)) == 860


def raw_video(
    path: Path, rate: str, aspect: str = "1:1", size: tuple[int, int] = (320, 192)
) -> Path:
    """Three grey pictures whose header says anything at all."""
    width, height = size
    picture = b"FRAME\n" + bytes([128]) * (width * height * 3 // 2)
    head = f"YUV4MPEG2 W{width} H{height} F{rate} Ip A{aspect} C420jpeg\n"
    path.write_bytes(head.encode() + picture * 3)
    return path


@pytest.mark.parametrize(
    ("aspect", "expected"),
    [("16:11", Fraction(16, 11)), ("1:4", Fraction(1, 4)), ("1000:1", 1), ("3:2147483647", 1)],
)
def test_pixels_of_an_absurd_shape_are_square(
    tmp_path: Path, aspect: str, expected: Fraction
) -> None:
    with VideoReader(raw_video(tmp_path / "clip.y4m", "25:1", aspect)) as reader:
        assert reader.info.sample_aspect_ratio == expected


def test_the_limit_holds_for_the_shown_picture_too(tmp_path: Path) -> None:
    clip = raw_video(tmp_path / "clip.y4m", "25:1", "10:1")
    with pytest.raises(InputError, match="3200x192 = 614400 pixels, above the limit of 400000"):
        check_source(clip, MatteOptions(), Limits(max_frame_pixels=400_000))
