from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from tests.support.clips import (
    filtered,
    frame_of,
    index_frame,
    read_index,
    to_rgb,
    write_frames,
    yuv_frame,
    yuv_of,
)

from rvm_client.decode import VideoReader
from rvm_client.errors import InputError
from rvm_client.frames import VideoInfo
from rvm_client.options import MatteOptions
from rvm_client.pixels import UInt8Array

BT709, BT601, BT2020 = 1, 6, 9
LOSSLESS = "ffv1"
BARS = [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0)]
BARS += [(255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0)]
BARS += [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0)]
BARS += [(191, 0, 191), (191, 0, 0), (0, 0, 191), (210, 160, 130)]


def colour_bars() -> UInt8Array:
    """Bars of 100 and 75 percent, and a skin tone, above a grey ramp of all 256 levels."""
    bars = np.repeat(np.array(BARS, np.uint8)[np.newaxis], 16, axis=1).repeat(32, axis=0)
    ramp = np.arange(256, dtype=np.uint8)[np.newaxis, :, np.newaxis]
    return np.concatenate([bars, np.broadcast_to(ramp, (32, 256, 3))])


def decoded(clip: Path, options: MatteOptions | None = None) -> tuple[UInt8Array, VideoInfo]:
    with VideoReader(clip, options) as reader:
        return next(reader.chunks(4)).src[0], reader.info


def lossless(folder: Path, frame: av.VideoFrame) -> Path:
    return write_frames(folder / "clip.mkv", [frame], codec=LOSSLESS)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [BT709, BT601, BT2020])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_bars_and_ramps_by_matrix_and_range(
    tmp_path: Path, matrix: int, full_range: bool, bits: int
) -> None:
    picture = colour_bars()
    samples = yuv_of(picture, matrix, full_range=full_range, bits=bits)
    clip = lossless(tmp_path, yuv_frame(samples, matrix, full_range=full_range, bits=bits))
    seen, _ = decoded(clip)
    difference = np.abs(seen.astype(int) - picture)
    # What rounding Y, Cb and Cr to 8 bits costs at most.
    assert difference[:32].max() <= 2
    assert difference[32:].max() <= 1


@pytest.mark.parametrize(("accurate", "tolerance"), [(False, 3), (True, 2)])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [BT709, BT601])
def test_bars_in_4_2_0(
    tmp_path: Path, matrix: int, full_range: bool, accurate: bool, tolerance: int
) -> None:
    picture = colour_bars()
    samples = yuv_of(picture, matrix, full_range=full_range)
    frame = yuv_frame(samples, matrix, full_range=full_range, subsampled=True)
    seen, _ = decoded(lossless(tmp_path, frame), MatteOptions(prefer_quality=accurate))
    inside = [slice(4, 28), np.arange(256) % 16 // 4 % 3 != 0]
    difference = np.abs(seen.astype(int) - picture)
    assert difference[inside[0]][:, inside[1]].max() <= tolerance
    assert difference[36:60].max() <= 2


@pytest.mark.parametrize(("height", "matrix"), [(64, BT601), (720, BT709)])
def test_where_the_file_does_not_say_the_height_decides(
    tmp_path: Path, height: int, matrix: int
) -> None:
    picture = np.tile(colour_bars(), (height // 64 + 1, 1, 1))[:height]
    frame = yuv_frame(yuv_of(picture, matrix, full_range=False), matrix, full_range=False)
    frame.colorspace, frame.color_range = 2, 0
    seen, _ = decoded(lossless(tmp_path, frame))
    assert np.abs(seen.astype(int) - picture).max() <= 2


@pytest.mark.parametrize("pix_fmt", ["bgr0", "gbrp10le"])
def test_rgb_sources(tmp_path: Path, pix_fmt: str) -> None:
    picture = colour_bars()
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
    frame.colorspace, frame.color_range = 0, 2
    seen, _ = decoded(lossless(tmp_path, frame))
    assert np.abs(seen.astype(int) - picture).max() <= 1


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
def test_grey_sources(tmp_path: Path, bits: int, full_range: bool) -> None:
    picture = colour_bars()[32:]
    luma = np.rint(yuv_of(picture, BT709, full_range=full_range, bits=bits)[..., 0])
    name, dtype = ("gray", np.uint8) if bits == 8 else ("gray10le", np.dtype("<u2"))
    frame = av.VideoFrame.from_ndarray(luma.astype(dtype), format=name)
    frame.colorspace, frame.color_range = BT709, 2 if full_range else 1
    seen, _ = decoded(lossless(tmp_path, frame))
    assert np.abs(seen.astype(int) - picture).max() <= 1


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p10le", "yuv422p", "yuv444p"])
def test_pixel_formats_of_real_encoders(tmp_path: Path, pix_fmt: str) -> None:
    frames = [frame_of(index_frame(i), pix_fmt) for i in range(12)]
    clip = write_frames(tmp_path / "clip.mp4", frames)
    with VideoReader(clip) as reader:
        pictures = [picture for chunk in reader.chunks(5) for picture in chunk.src]
    assert [read_index(picture) for picture in pictures] == list(range(12))


@pytest.mark.parametrize("full_range", [False, True])
def test_more_than_8_bits_are_dithered(tmp_path: Path, full_range: bool) -> None:
    """A ramp over ten 8-bit levels in steps of a quarter: local means show every step."""
    levels = np.repeat(np.arange(400, 440), 16)
    wanted = levels / 1023 * 255 if full_range else (levels / 4 - 16) * 255 / 219
    samples = np.full((64, levels.size, 3), 512.0)
    samples[..., 0] = levels
    seen, _ = decoded(lossless(tmp_path, yuv_frame(samples, 1, full_range=full_range, bits=10)))
    means = seen.reshape(64, 40, 16, 3).mean(axis=(0, 2))
    assert np.abs(means - wanted[::16, np.newaxis]).max() < 0.05
    assert np.diff(means, axis=0).min() > 0.1


def test_full_scale_stays_full_scale(tmp_path: Path) -> None:
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, 32:] = 255
    samples = yuv_of(picture, BT709, full_range=False, bits=10)
    seen, _ = decoded(lossless(tmp_path, yuv_frame(samples, BT709, full_range=False, bits=10)))
    assert np.array_equal(seen, picture)


def test_primaries_and_transfer_are_reported(tmp_path: Path) -> None:
    frame = frame_of(index_frame(0), "yuv420p", matrix=BT601)
    frame.color_primaries, frame.color_trc = 6, 6
    _, info = decoded(lossless(tmp_path, frame))
    assert (info.color_primaries, info.color_trc, info.tone_mapped) == (6, 6, False)


def pq(nits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """SMPTE ST 2084, the signal for a luminance."""
    power = (nits / 10_000) ** 0.1593017578125
    signal: npt.NDArray[np.float64] = (
        (0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)
    ) ** 78.84375
    return signal


def hlg(nits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """ITU-R BT.2100, the signal of a grey on a display of 1000 cd/m2."""
    light = (nits / 1000) ** (1 / 1.2)
    bright = 0.17883277 * np.log(np.maximum(12 * light - 0.28466892, 1e-9)) + 0.55991073
    return np.where(light <= 1 / 12, np.sqrt(3 * light), bright)


@pytest.mark.parametrize(("transfer", "code"), [(pq, 16), (hlg, 18)])
def test_hdr_is_tone_mapped(tmp_path: Path, transfer: object, code: int) -> None:
    assert callable(transfer)
    nits = np.array([0.0, 1, 5, 26, 100, 203, 500, 1000])
    samples = np.full((16, nits.size * 16, 3), 512.0)
    samples[..., 0] = np.repeat(64 + 876 * transfer(nits), 16)
    frame = yuv_frame(samples, BT2020, full_range=False, bits=10)
    frame.color_primaries, frame.color_trc = 9, code
    picture, info = decoded(lossless(tmp_path, frame))
    levels = picture.reshape(16, nits.size, 16, 3).mean(axis=(0, 2))
    # Grey stays grey, brighter stays brighter, and neither end is lost: a cut at the light of
    # SDR white (203 cd/m2) would make the last three alike.
    assert np.ptp(levels, axis=1).max() <= 1.5
    assert np.diff(levels[:, 1]).min() > 10
    assert levels[0, 1] < 1
    assert 140 < levels[5, 1] < 230
    assert (info.color_primaries, info.color_trc, info.tone_mapped) == (1, 1, True)


def test_a_matrix_that_cannot_be_converted_is_refused(tmp_path: Path) -> None:
    frame = yuv_frame(yuv_of(colour_bars(), 1, full_range=False), 14, full_range=False)
    with pytest.raises(InputError, match=r"matrix 14.*convert the video to BT\.709"):
        VideoReader(lossless(tmp_path, frame))


def moving_edge(position: int) -> UInt8Array:
    picture = np.full((192, 320, 3), 30, np.uint8)
    picture[64:, :position] = 220
    return picture


def woven(count: int) -> list[av.VideoFrame]:
    """Interlaced frames of an edge that moves by 8 pixels from field to field."""
    frames = []
    for index in range(count):
        picture = index_frame(index)
        picture[64::2] = moving_edge(40 + 16 * index)[64::2]
        picture[65::2] = moving_edge(48 + 16 * index)[65::2]
        frames.append(frame_of(picture))
    return filtered(frames, [("setfield", "mode=tff")])


def combing(picture: UInt8Array) -> float:
    """How much each line differs from the mean of its neighbours."""
    grey = picture[80:176].astype(float).mean(-1)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


def test_interlaced_video_is_deinterlaced(tmp_path: Path) -> None:
    frames = woven(12)
    before = combing(to_rgb(frames[5]))
    options = {"flags": "+ildct+ilme", "crf": "4"}
    clip = write_frames(tmp_path / "clip.mp4", frames, options=options)
    with VideoReader(clip) as reader:
        chunks = list(reader.chunks(5))
    pictures = [picture for chunk in chunks for picture in chunk.src]
    assert [read_index(picture) for picture in pictures] == list(range(12))
    assert [pts for chunk in chunks for pts in chunk.pts] == list(range(0, 12_000, 1000))
    assert before > 2
    assert max(combing(picture) for picture in pictures[1:-1]) < before / 4


def test_interlaced_frames_after_progressive_ones(tmp_path: Path) -> None:
    progressive = [frame_of(index_frame(i)) for i in range(6)]
    interlaced = filtered(
        [frame_of(index_frame(i)) for i in range(6, 14)], [("setfield", "mode=tff")]
    )
    options = {"flags": "+ildct+ilme"}
    clip = write_frames(tmp_path / "clip.mp4", [*progressive, *interlaced], options=options)
    with VideoReader(clip) as reader:
        pictures = [picture for chunk in reader.chunks(4) for picture in chunk.src]
    assert [read_index(picture) for picture in pictures] == list(range(14))
