from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.support.clips import index_frame, read_index, write_clip

from rvm_client.decode import VideoReader, read_rgba_at
from rvm_client.errors import InputError


@pytest.mark.parametrize("frames_per_chunk", [1, 3, 8, 50])
def test_every_frame_comes_once_and_in_order(tmp_path: Path, frames_per_chunk: int) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(20)])
    with VideoReader(clip) as reader:
        chunks = list(reader.chunks(frames_per_chunk))
    assert [read_index(picture) for chunk in chunks for picture in chunk.src] == list(range(20))
    assert all(len(chunk.pts) == frames_per_chunk for chunk in chunks[:-1])


def test_timestamps_are_the_file_s_own(tmp_path: Path) -> None:
    pts = [0, 1000, 1500, 4000, 4100, 9000]
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(6)], pts=pts)
    with VideoReader(clip) as reader:
        times = [p * reader.info.time_base for chunk in reader.chunks(4) for p in chunk.pts]
    assert times == [Fraction(p, 30_000) for p in pts]


@pytest.mark.parametrize("size", [(320, 192), (322, 194), (640, 720)])
def test_colours_are_full_range_rgb(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    colours = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 64, 32)]
    for column, colour in enumerate(colours):
        picture[:, column * 50 : column * 50 + 50] = colour
    clip = write_clip(tmp_path / "clip.mp4", [picture] * 2, pix_fmt="yuv444p")
    with VideoReader(clip) as reader:
        (chunk,) = reader.chunks(8)
    for column, colour in enumerate(colours):
        seen = chunk.src[1, height // 2, column * 50 + 25].astype(int)
        assert np.abs(seen - colour).max() <= 2


def test_info_describes_the_video(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(15)])
    with VideoReader(clip) as reader:
        info = reader.info
    assert (info.width_pixels, info.height_pixels) == (320, 192)
    assert info.average_fps == 30
    assert info.duration_seconds == pytest.approx(0.5)
    assert info.frame_count_from_header == 15


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*gone\.mp4"):
        VideoReader(tmp_path / "gone.mp4")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="directory"):
        VideoReader(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a video", bytes(range(256)) * 40])
def test_a_file_that_is_not_a_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a video"):
        VideoReader(path)


def test_a_playlist_that_names_other_files_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", [index_frame(0)] * 3)
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match="not a video"):
        VideoReader(playlist)


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    with av.open(str(empty), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    with pytest.raises(InputError, match="no video stream"):
        VideoReader(empty)


def test_a_video_with_nothing_but_damage_is_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(0)] * 3)
    content = bytearray(clip.read_bytes())
    data = content.index(b"mdat") + 4
    content[data : data + 2000] = bytes(2000)
    clip.write_bytes(content)
    with pytest.raises(InputError, match="Invalid data"):
        VideoReader(clip)


def test_a_sound_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="stereo")
        silence = np.zeros((2, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="no video stream"):
        VideoReader(path)


def test_frames_are_found_by_time(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(60)])
    pictures = read_rgba_at(clip, [0.0, 0.51, 1.99, 99.0])
    assert [read_index(picture) for picture in pictures] == [0, 15, 59, 59]
