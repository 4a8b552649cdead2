"""HEVC with an alpha layer: two layers that agree, and alpha that comes out again."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.client.encode.test_writer import matte_chunk, video_info
from tests.support import hevc_reader
from tests.support.clips import read_frames, read_index, to_rgb
from tests.support.hevc_reader import layer_frames, packets, read_sps, read_vps

from rvm_client.decode import VideoReader, read_rgba_at
from rvm_client.encode import open_writer
from rvm_client.encode.formats import HEVC_ALPHA, HardwareEncoder
from rvm_client.encode.video_file import VideoFile
from rvm_client.encode.yuv import yuva420_frame
from rvm_client.errors import HardwareEncoderError
from rvm_client.frames import MatteChunk, Picture, VideoInfo
from rvm_client.machine import Hardware, say_once
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import UInt8Array

VPS, SPS, PPS, PREFIX_SEI = 32, 33, 34, 39
IDR = {19, 20}
# More than the distance of keyframes.
FRAMES = 130
HEVC = MatteOptions(OutputType.ALPHA_HEVC)


def moving(count: int, width: int = 160, height: int = 96) -> MatteChunk:
    """Frames with their index, over a disc of alpha that moves; a cut in the middle of them."""
    chunk = matte_chunk(count, width, height)
    y, x = np.mgrid[:height, :width]
    for index in range(count):
        centre = width / 2 + 30 * np.sin(index / 9)
        chunk.pha[index] = np.clip(255 * (40 - np.hypot(y - height / 2, x - centre)) / 12, 0, 255)
        chunk.pha[index, :16] = 255
        chunk.fgr[index, 16:] = 200 if index > count // 2 else (x[16:, :, None] + index) % 160 + 40
    return chunk


def write(
    path: Path, chunk: MatteChunk, options: MatteOptions = HEVC, info: VideoInfo | None = None
) -> Path:
    height, width = chunk.pha.shape[1:]
    with open_writer(path, options, info or video_info(width, height)) as writer:
        writer.write(chunk)
    return path


@pytest.fixture(scope="module")
def chunk() -> MatteChunk:
    return moving(FRAMES)


@pytest.fixture(scope="module")
def video(chunk: MatteChunk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("hevc") / "out.mov", chunk)


def pixels(plane: av.video.plane.VideoPlane) -> UInt8Array:
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
    return rows[:, : plane.width]


def luma(frame: av.VideoFrame) -> UInt8Array:
    return pixels(frame.planes[0])


def test_the_second_layer_is_the_alpha(video: Path, chunk: MatteChunk) -> None:
    frames = layer_frames(video, 1)
    assert len(frames) == FRAMES
    errors = [np.abs(luma(f).astype(int) - p) for f, p in zip(frames, chunk.pha, strict=True)]
    assert max(error.mean() for error in errors) < 1
    # Full range: nothing is nothing, and everything is everything.
    assert min(luma(frame).min() for frame in frames) == 0
    assert max(luma(frame).max() for frame in frames) == 255
    for frame in frames:
        assert all((pixels(plane) == 128).all() for plane in frame.planes[1:])


def test_the_base_layer_is_the_colour_for_players_that_know_no_alpha(video: Path) -> None:
    frames = list(read_frames(video))
    assert [read_index(to_rgb(frame)) for frame in frames] == list(range(FRAMES))
    alone = layer_frames(video, 0)
    assert all(np.array_equal(luma(a), luma(b)) for a, b in zip(frames, alone, strict=True))


def test_each_packet_has_a_picture_of_both_layers_of_the_same_kind(video: Path) -> None:
    kinds = []
    for packet, units in packets(video):
        (colour, *_), (alpha, *_) = [
            [u.nal_unit_type for u in units if u.nuh_layer_id == layer] for layer in (0, 1)
        ]
        assert colour == alpha
        assert [u.nuh_layer_id for u in units] == sorted(u.nuh_layer_id for u in units)
        assert packet.is_keyframe == (colour in IDR)
        kinds.append(colour)
    assert len(kinds) == FRAMES
    # Two keyframes: at the start and after 120 frames; the cut makes none.
    assert [index for index, kind in enumerate(kinds) if kind in IDR] == [0, 120]
    # Not all others refer only to what came before: B-frames are kept.
    assert 0 in kinds


def test_both_layers_start_at_any_keyframe(video: Path) -> None:
    (picture,) = read_rgba_at(video, [125.5 * 1001 / 30_000])
    assert read_index(picture) == 125


def test_the_parameters_of_both_layers_are_in_the_file_s_header(video: Path) -> None:
    sets, _ = hevc_reader.hvcc(video)
    found = sorted((unit.nal_unit_type, unit.nuh_layer_id) for unit in sets)
    assert found == [(VPS, 0), (SPS, 0), (SPS, 1), (PPS, 0), (PPS, 1), (PREFIX_SEI, 0)]
    by_layer = {(u.nal_unit_type, u.nuh_layer_id): u.content[2:] for u in sets}
    for kind in (SPS, PPS):
        assert by_layer[kind, 0] == by_layer[kind, 1]
    data = video.read_bytes()
    assert b"hvc1" in data
    assert b"hev1" not in data
    # The index comes first.
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("size", [(160, 96), (166, 98), (161, 97)])
def test_the_vps_says_that_the_second_layer_is_alpha(tmp_path: Path, size: tuple[int, int]) -> None:
    """Read by a reader that shares nothing with the writer; sizes that the codec pads."""
    sets, _ = hevc_reader.hvcc(write(tmp_path / "out.mov", moving(3, *size)))
    vps, sps = (read(next(u for u in sets if u.nal_unit_type == kind))
                for read, kind in ((read_vps, VPS), (read_sps, SPS)))  # fmt: skip
    assert (vps["max_layers_minus1"], vps["max_layer_id"]) == (1, 1)
    assert vps["layer_sets"] == [[1, 1]]
    for name in ("profile_space", "tier", "profile_idc", "compatibility", "constraints"):
        assert vps[name] == sps[name]
    extension = vps["extension"]
    # Auxiliary pictures, and of these alpha (tables F.1 and F.2).
    assert extension["scalability_mask"] == [0, 0, 0, 1] + [0] * 12
    assert extension["dimension_id"] == [1]
    assert extension["layer_id_in_nuh"] == 1
    assert extension["direct_dependency"] == 0
    assert extension["default_output_layer_idc"] == 0
    assert extension["profile_tier_level_idx"] == [1, 2]
    assert extension["levels"] == [vps["level_idc"]] * 2
    assert extension["poc_lsb_not_present"] == 1
    pictures, reorder, latency = vps["buffering"]
    assert extension["dpb_pictures"] == [pictures] * 2
    assert (extension["dpb_reorder"], extension["dpb_latency"]) == (reorder, latency)
    shown = {"width": sps["width"], "height": sps["height"], "window": sps["window"]}
    assert extension["rep_format"] == shown | {"chroma_format_idc": 1, "depth": (0, 0)}
    left, right, top, bottom = sps["window"]
    even = tuple(pixels + pixels % 2 for pixels in size)
    assert (sps["width"] - 2 * (left + right), sps["height"] - 2 * (top + bottom)) == even


def test_the_message_says_what_the_alpha_s_numbers_mean(video: Path) -> None:
    """Table F.14.2.8: straight alpha of 8 bits, 0 is transparent, 255 opaque."""
    (sei,) = [u for u in hevc_reader.hvcc(video)[0] if u.nal_unit_type == PREFIX_SEI]
    bits = sei.bits
    assert (bits.u(8), bits.u(8)) == (165, 4)
    assert (bits.u(1), bits.u(3), bits.u(3), bits.u(9), bits.u(9)) == (0, 0, 0, 0, 255)
    assert (bits.u(1), bits.u(1)) == (0, 0)
    bits.u(5)
    bits.assert_trailing()


@pytest.mark.parametrize(
    "pts",
    [(7, 1008, 2009, 3010), (5000, 5001, 9000, 20_000, 20_100, 60_000), (0,)],
    ids=["not from 0", "variable", "one frame"],
)
def test_times_of_any_kind_are_kept(tmp_path: Path, pts: tuple[int, ...]) -> None:
    chunk = moving(len(pts))
    path = write(tmp_path / "out.mov", replace(chunk, pts=pts))
    frames = list(read_frames(path))
    assert [read_index(to_rgb(frame)) for frame in frames] == list(range(len(pts)))
    times = [frame.time for frame in frames]
    assert all(time is not None for time in times)
    start = pts[0] / 30_000
    expected = [p / 30_000 - start for p in pts]
    assert [float(t or 0) - float(times[0] or 0) for t in times] == pytest.approx(expected)
    # The start is an edit, which has milliseconds.
    assert times[0] == pytest.approx(start, abs=0.001)
    # The alpha of each time is in the packet of that time.
    order = sorted(packet.pts or 0 for packet, _ in packets(path))
    alphas = layer_frames(path, 1)
    assert [frame.pts for frame in alphas] == order
    for frame, alpha in zip(alphas, chunk.pha, strict=True):
        assert np.abs(luma(frame).astype(int) - alpha).mean() < 1


def test_what_reads_files_with_alpha_reads_it(video: Path, chunk: MatteChunk) -> None:
    with VideoReader(video, keeps_alpha=True) as reader:
        for index, matte in enumerate(reader.mattes()):
            assert read_index(matte.fgr[0]) == index
            assert np.abs(matte.pha[0].astype(int) - chunk.pha[index]).mean() < 1
    assert index == FRAMES - 1


@pytest.mark.parametrize(
    "options",
    [
        replace(HEVC, prefer_quality=True),
        replace(HEVC, crf=40),
        replace(HEVC, bitrate_bits_per_second=300_000),
        # Colour and alpha get parts of it that ask for different levels.
        replace(HEVC, bitrate_bits_per_second=20_000_000),
    ],
    ids=["quality", "crf", "bit rate", "high bit rate"],
)
def test_the_layers_agree_whatever_the_quality(tmp_path: Path, options: MatteOptions) -> None:
    chunk = moving(25)
    path = write(tmp_path / "out.mov", chunk, options)
    assert [read_index(to_rgb(frame)) for frame in read_frames(path)] == list(range(25))
    for frame, alpha in zip(layer_frames(path, 1), chunk.pha, strict=True):
        assert np.abs(luma(frame).astype(int) - alpha).mean() < 4
    read_vps(hevc_reader.hvcc(path)[0][0])


# Stand for GPUs: one whose parameters say something else, one that begins anew at cuts.
OTHER = HardwareEncoder("libx264", {}, {}, "crf")
CUTS = HardwareEncoder(
    "libx265", {"preset": "ultrafast", "x265-params": "scenecut=40:log-level=error"}, {}, "crf"
)


def on_gpu(path: Path, encoder: HardwareEncoder, software: str = "libx265") -> VideoFile:
    device = path.parent / "nvidiactl"
    device.touch()
    format_ = replace(HEVC_ALPHA, hardware=encoder, codec=software)

    def make_frame(picture: Picture) -> av.VideoFrame:
        return yuva420_frame(picture.fgr, picture.pha)

    return VideoFile(path, format_, make_frame, video_info(160, 96), HEVC, Hardware(path.parent))


def test_a_gpu_whose_layers_cannot_be_one_stream_leaves_it_to_software(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    say_once.cache_clear()
    file = on_gpu(tmp_path / "out.mov", OTHER)
    file.open()
    assert file.encoder == "libx265"
    assert "A video is encoded by libx265 and not by libx264: " in caplog.text
    file.discard()


def test_a_gpu_whose_layers_part_on_the_way_is_given_up(tmp_path: Path) -> None:
    chunk = moving(60)
    file = on_gpu(tmp_path / "out.mov", CUTS, software="hevc_nvenc")
    file.open()

    def write_all() -> None:
        for fgr, pha, pts in zip(chunk.fgr, chunk.pha, chunk.pts, strict=True):
            file.write(Picture(fgr, pha, pts, 0.0))
        file.finish()

    with pytest.raises(HardwareEncoderError, match="pictures of colour and alpha"):
        write_all()
    file.discard()


def test_pixels_that_are_not_square_are_said(tmp_path: Path) -> None:
    info = replace(video_info(160, 96), sample_aspect_ratio=Fraction(5, 4))
    path = write(tmp_path / "out.mov", moving(2), info=info)
    with av.open(str(path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(5, 4)
