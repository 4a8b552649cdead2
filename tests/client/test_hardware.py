"""Codecs on a GPU: which are chosen, and what happens where the GPU does not do it.

A folder with the driver's control device says that there is a GPU. FFmpeg then really asks the
driver, which finds none to use, here as on a machine that has one.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec.context import CodecContext
from tests.support import cuda_driver
from tests.support.clips import (
    filtered,
    frame_of,
    index_frame,
    read_frames,
    read_index,
    to_rgb,
    write_clip,
    write_frames,
)

from rvm_client import machine
from rvm_client.config import Settings
from rvm_client.decode import VideoReader
from rvm_client.decode.geometry import geometry, orientation
from rvm_client.decode.nvdec import HardwareError, Planar
from rvm_client.decode.rgb import rgb_pictures
from rvm_client.encode import VIDEO_FORMATS, open_writer
from rvm_client.encode.formats import HEVC_NVENC, NVENC, HardwareEncoder, VideoFormat
from rvm_client.encode.video_file import VideoFile
from rvm_client.encode.yuv import yuv_frame
from rvm_client.errors import HardwareEncoderError
from rvm_client.frames import MatteChunk, Picture, VideoInfo
from rvm_client.machine import Hardware
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import UInt8Array, plane_rows

FRAMES = 40
OF_THE_GPU = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hardware:
    """A GPU, of which the driver knows nothing."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    machine.say_once.cache_clear()
    folder = tmp_path / "dev"
    folder.mkdir()
    (folder / "nvidiactl").touch()
    return Hardware(folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames that carry their index, with B-frames and several keyframes."""
    frames = [index_frame(i) for i in range(FRAMES)]
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return write_clip(path, frames, options={"g": "12", "bf": "3"})


def test_a_gpu_is_looked_for_where_the_setting_allows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Hardware.configured(Settings()).device_folder == Path("/dev")
    monkeypatch.setenv("RVM_HARDWARE_CODECS", "off")
    assert not Hardware.configured(Settings()).has_gpu
    assert not Limits().hardware.has_gpu
    assert not Hardware(tmp_path).has_gpu
    (tmp_path / "nvidiactl").touch()
    assert Hardware(tmp_path).has_gpu


# --- Decoding


def read(
    path: Path, options: MatteOptions, hardware: Hardware
) -> tuple[list[int], tuple[int, ...], str]:
    with VideoReader(path, options, Limits(hardware=hardware)) as reader:
        chunks = list(reader.chunks(8))
        indices = [read_index(picture) for chunk in chunks for picture in chunk.src]
        return indices, tuple(p for chunk in chunks for p in chunk.pts), reader.decoder


@pytest.mark.parametrize(
    "options", [MatteOptions(), MatteOptions(start_seconds=0.5), MatteOptions(end_seconds=0.5)]
)
def test_what_no_gpu_decodes_is_decoded_by_software(
    clip: Path, gpu: Hardware, caplog: pytest.LogCaptureFixture, options: MatteOptions
) -> None:
    by_software = read(clip, options, Hardware())
    for _ in range(2):
        assert read(clip, options, gpu) == by_software
    assert by_software[2] == "h264"
    assert [(r.levelno, r.name) for r in caplog.records] == [(logging.WARNING, machine.__name__)]
    assert "A source of h264 is decoded by software: " in caplog.text


def test_what_suits_no_gpu_is_not_tried_on_one(
    tmp_path: Path, gpu: Hardware, caplog: pytest.LogCaptureFixture
) -> None:
    picture = index_frame(5)
    odd = write_frames(tmp_path / "odd.webm", [frame_of(picture[:191])], codec="libvpx-vp9")
    full_chroma = write_clip(tmp_path / "444.mp4", [picture], pix_fmt="yuv444p")
    for path in (odd, full_chroma):
        assert read(path, MatteOptions(), gpu)[0] == [5]
    assert not caplog.records


def as_gpu_gives(frame: av.VideoFrame) -> av.VideoFrame:
    return frame.reformat(format=OF_THE_GPU[frame.format.name])


def sources(folder: Path) -> Iterator[Path]:
    """One of each kind that takes a way of its own to RGB."""
    noise = np.random.default_rng(5)
    pictures = [noise.integers(0, 256, (192, 320, 3), np.uint8) for _ in range(6)]
    frames = {name: [frame_of(p, name) for p in pictures] for name in ("yuv420p", "yuv420p10le")}
    yield write_frames(folder / "plain.mp4", frames["yuv420p"])
    yield write_frames(folder / "10bit.mp4", frames["yuv420p10le"])
    full = [frame_of(p, "yuvj420p", color_range=2) for p in pictures]
    yield write_frames(folder / "full.mp4", full)
    yield write_frames(
        folder / "turned.mp4", frames["yuv420p"], turned_degrees=90, mirrored=(True, False)
    )
    fields = filtered(frames["yuv420p"], [("setfield", "mode=tff")])
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    yield write_frames(folder / "fields.mp4", fields, options=options)


def pictures_of(frames: list[av.VideoFrame], *, accurate: bool) -> list[UInt8Array]:
    pictures = []
    around = geometry(frames[0], None, None, None)
    for picture, _ in rgb_pictures(((f, None) for f in frames), around, accurate=accurate):
        pictures.append(np.empty((picture.frame.height, picture.frame.width, 3), np.uint8))
        picture.copy_to(pictures[-1])
    return pictures


def test_frames_of_a_gpu_become_those_of_software(tmp_path: Path) -> None:
    for path in sources(tmp_path):
        frames = list(read_frames(path))
        planar = Planar(320, 192)
        again = [planar.frame(as_gpu_gives(frame)) for frame in frames]
        for before, after in zip(frames, again, strict=True):
            assert after.format.name == before.format.name.replace("yuvj", "yuv")
            for one, other in zip(before.planes, after.planes, strict=True):
                used = one.width * (2 if "10le" in before.format.name else 1)
                assert np.array_equal(plane_rows(one)[:, :used], plane_rows(other)[:, :used])
            assert (after.pts, after.time_base) == (before.pts, before.time_base)
            assert after.colorspace == before.colorspace
            assert after.color_range == before.color_range
            assert after.interlaced_frame == before.interlaced_frame == (path.stem == "fields")
            assert orientation(after) == orientation(before)
        for accurate in (False, True):
            wanted = pictures_of(list(read_frames(path)), accurate=accurate)
            for picture, same in zip(wanted, pictures_of(again, accurate=accurate), strict=True):
                assert np.array_equal(picture, same), path.name
            again = [planar.frame(as_gpu_gives(frame)) for frame in frames]


def test_frames_that_no_gpu_gave_are_not_taken() -> None:
    frame = frame_of(index_frame(0))
    with pytest.raises(HardwareError, match="cannot decode this kind or size"):
        Planar(320, 192).frame(frame)
    with pytest.raises(HardwareError, match="cut out of a larger one"):
        Planar(304, 192).frame(as_gpu_gives(frame))


# Opens two files at once and then a third, each as far as its first frame.
THREE_FILES = """
import sys
from contextlib import ExitStack
from pathlib import Path
from rvm_client.decode.nvdec import HardwareError, NvdecDecoder
from rvm_client.decode.stream import Source
for count in (2, 1):
    with ExitStack() as stack:
        for _ in range(count):
            source = Source(Path(sys.argv[1]), None)
            decoder = stack.enter_context(NvdecDecoder(source, "h264"))
            try:
                next(decoder.frames(None))
            except HardwareError:
                continue
            sys.exit("a frame came from a GPU that is not there")
"""


@pytest.mark.skipif(cuda_driver.COMPILER is None, reason="no C compiler, to make a driver")
def test_files_share_one_context_on_the_gpu(clip: Path, tmp_path: Path) -> None:
    cuda_driver.make_driver(tmp_path)
    calls = tmp_path / "calls"
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(tmp_path),
        cuda_driver.CALLS_VARIABLE: str(calls),
    }
    command = [sys.executable, "-c", THREE_FILES, str(clip)]
    subprocess.run(command, env=environment, check=True, timeout=60)
    # The driver makes the process's own context for the first that retains it, and ends it with
    # the last.
    together, alone = ["retain", "retain", "release", "release"], ["retain", "release"]
    assert calls.read_text().split() == together + alone


# --- Encoding


def video_info() -> VideoInfo:
    return VideoInfo(
        width_pixels=320,
        height_pixels=192,
        time_base=Fraction(1, 30_000),
        average_fps=Fraction(30_000, 1001),
        duration_seconds=None,
        frame_count_from_header=None,
        sample_aspect_ratio=Fraction(4, 3),
    )


def matte_chunk(count: int) -> MatteChunk:
    """Frames that carry their index, at uneven times."""
    fgr = np.stack([index_frame(i) for i in range(count)])
    pha: UInt8Array = np.full(fgr.shape[:3], 255, np.uint8)
    return MatteChunk(fgr, pha, tuple(1001 * i + (300 if i % 3 else 0) for i in range(count)))


def write(path: Path, output_type: OutputType, hardware: Hardware) -> tuple[list[bytes], str]:
    """The files' contents, and the encoder's name."""
    path.parent.mkdir()
    options = MatteOptions(output_type)
    with open_writer(path, options, video_info(), hardware=hardware) as writer:
        writer.write(matte_chunk(12))
    assert sorted(path.parent.iterdir()) == sorted(writer.files.values())
    return [file.read_bytes() for file in writer.files.values()], writer.encoder


@pytest.mark.parametrize(
    ("output_type", "encoder", "on_gpu"),
    [
        (OutputType.GREENSCREEN, "libx264", "h264_nvenc"),
        (OutputType.MATTE, "libx264", "h264_nvenc"),
        (OutputType.FOREGROUND_AND_MATTE, "libx264", "h264_nvenc"),
        (OutputType.ALPHA_HEVC, "libx265", "hevc_nvenc"),
        (OutputType.ALPHA_STACKED, "libx264", "h264_nvenc"),
    ],
)
def test_what_no_gpu_encodes_is_encoded_by_software(
    tmp_path: Path,
    gpu: Hardware,
    caplog: pytest.LogCaptureFixture,
    output_type: OutputType,
    encoder: str,
    on_gpu: str,
) -> None:
    name = f"out{output_type.suffix}"
    by_software = write(tmp_path / "software" / name, output_type, Hardware())
    assert write(tmp_path / "gpu" / name, output_type, gpu) == by_software
    assert by_software[1] == encoder
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"A video is encoded by {encoder} and not by {on_gpu}: " in caplog.text
    frames = list(read_frames(tmp_path / "gpu" / name))
    assert len(frames) == 12
    if output_type is not OutputType.MATTE:
        assert [read_index(to_rgb(frame)) for frame in frames] == list(range(12))


@pytest.mark.parametrize(
    ("output_type", "encoder"),
    [
        (OutputType.ALPHA, "libvpx-vp9"),
        (OutputType.ALPHA_PRORES, "prores_aw"),
        (OutputType.PNG_SEQUENCE, "png"),
    ],
)
def test_what_no_gpu_can_encode_is_not_tried_on_one(
    tmp_path: Path,
    gpu: Hardware,
    caplog: pytest.LogCaptureFixture,
    output_type: OutputType,
    encoder: str,
) -> None:
    path = tmp_path / "gpu" / f"out{output_type.suffix}"
    assert write(path, output_type, gpu)[1] == encoder
    assert not caplog.records


QUALITY = [
    MatteOptions(),
    MatteOptions(prefer_quality=True),
    MatteOptions(crf=10),
    MatteOptions(crf=40),
    MatteOptions(bitrate_bits_per_second=3_000_000),
]


@pytest.mark.parametrize("encoder", [NVENC, HEVC_NVENC], ids=lambda encoder: encoder.codec)
@pytest.mark.parametrize("options", QUALITY)
def test_nvenc_knows_its_options(options: MatteOptions, encoder: HardwareEncoder) -> None:
    context = CodecContext.create(encoder.codec, "w")
    known = {o.name: o for o in context.supported_options.private}
    chosen = encoder.options_for(options)
    assert chosen.pop("b", "") in ("", "3000000")
    # FFmpeg's own, of all its encoders.
    assert (chosen.pop("bf", "0"), chosen.pop("g", "120")) == ("0", "120")
    for name, value in chosen.items():
        option = known[name]
        if option.choices:
            assert value in {choice.name for choice in option.choices}
        else:
            assert option.min <= float(value) <= option.max


def test_nvenc_gets_the_same_quality_as_libx264() -> None:
    h264 = VIDEO_FORMATS[OutputType.GREENSCREEN]
    assert h264.hardware is NVENC
    for options in QUALITY:
        software, on_gpu = h264.options_for(options), NVENC.options_for(options)
        assert on_gpu.get("cq") == software.get("crf")
        assert on_gpu.get("b") == software.get("b")
        assert "crf" not in on_gpu


# Stands for a GPU: it begins, and gives up at pictures that need more bits than it may use.
GIVES_UP = HardwareEncoder(
    codec="dnxhd",
    codec_options={"profile": "dnxhr_lb", "qmax": "4"},
    quality_options={},
    crf_option="qscale",
)
MOV = VideoFormat(
    container="mov",
    codec="libx264",
    pix_fmt="yuv422p",
    needs_even_size=True,
    hardware=GIVES_UP,
)


def test_a_gpu_that_gives_up_on_the_way_says_so(tmp_path: Path, gpu: Hardware) -> None:
    noise = np.random.default_rng(1)
    file = VideoFile(
        tmp_path / "out.mov",
        MOV,
        lambda picture: yuv_frame(picture.fgr, "yuv420p"),
        video_info(),
        MatteOptions(),
        gpu,
    )
    file.open()
    assert file.encoder == "dnxhd"
    opaque: UInt8Array = np.full((192, 320), 255, np.uint8)
    for index in range(10):
        file.write(Picture(index_frame(index), opaque, index * 1001, index / 30))

    def go_on() -> None:
        for index in range(10, 20):
            busy = noise.integers(0, 256, (192, 320, 3), np.uint8)
            file.write(Picture(busy, opaque, index * 1001, index / 30))
        file.finish()

    with pytest.raises(HardwareEncoderError, match=r"^dnxhd failed: "):
        go_on()
    file.discard()
    assert not list(tmp_path.glob("*.mov"))
    assert not list(tmp_path.glob(".*"))
