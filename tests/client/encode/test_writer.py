import os
import resource
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.support.clips import alpha_plane, index_frame, read_frames, read_index, to_rgb

from rvm_client.encode import check_output_path, matte_path, open_writer
from rvm_client.errors import OutputError, UsageError
from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import GREEN, UInt8Array

EXPECTED = {
    OutputType.GREENSCREEN: ("h264", "yuv420p", None),
    OutputType.ALPHA: ("vp9", "yuva420p", "libvpx-vp9"),
    OutputType.ALPHA_PRORES: ("prores", "yuva444p12le", None),
    OutputType.ALPHA_HEVC: ("hevc", "yuv420p", None),
    OutputType.MATTE: ("h264", "yuv420p", None),
    OutputType.FOREGROUND_AND_MATTE: ("h264", "yuv420p", None),
    OutputType.ALPHA_STACKED: ("h264", "yuv420p", None),
}
VIDEO_TYPES = list(EXPECTED)


def video_info(width: int = 320, height: int = 192) -> VideoInfo:
    return VideoInfo(
        width_pixels=width,
        height_pixels=height,
        time_base=Fraction(1, 30_000),
        average_fps=Fraction(30_000, 1001),
        duration_seconds=None,
        frame_count_from_header=None,
    )


def matte_chunk(count: int, width: int = 320, height: int = 192, start: int = 0) -> MatteChunk:
    """Frames that carry their index, with an alpha ramp below it."""
    indexes = range(start, start + count)
    fgr = np.stack([index_frame(i, width, height) for i in indexes])
    pha: UInt8Array = np.full((count, height, width), 255, np.uint8)
    pha[:, 32:] = np.linspace(0, 255, width).astype(np.uint8)
    return MatteChunk(
        fgr=fgr,
        pha=pha,
        pts=tuple(i * 1001 for i in indexes),
    )


def matte_of_index(chunk: MatteChunk) -> MatteChunk:
    """The index in the alpha too, for outputs that show nothing else."""
    chunk.pha[:, :32] = chunk.fgr[:, :32, :, 0]
    return chunk


def write(
    path: Path, output_type: OutputType, *chunks: MatteChunk, options: MatteOptions | None = None
) -> Path:
    height, width = chunks[0].pha.shape[1:]
    options = options or MatteOptions(output_type)
    with open_writer(path, options, video_info(width, height)) as writer:
        for chunk in chunks:
            if output_type is OutputType.MATTE:
                chunk = matte_of_index(chunk)
            writer.write(chunk)
    return path


def pictures_in_a_frame(output_type: OutputType) -> int:
    return 2 if output_type is OutputType.ALPHA_STACKED else 1


def files_beside(path: Path, output_type: OutputType) -> set[Path]:
    is_pair = output_type is OutputType.FOREGROUND_AND_MATTE
    return {path, matte_path(path)} if is_pair else {path}


@pytest.mark.parametrize("output_type", VIDEO_TYPES)
def test_what_is_written_opens_again(tmp_path: Path, output_type: OutputType) -> None:
    codec, pix_fmt, decoder = EXPECTED[output_type]
    path = write(
        tmp_path / f"out{output_type.suffix}",
        output_type,
        matte_chunk(8),
        matte_chunk(5, start=8),
    )
    frames = list(read_frames(path, decoder=decoder))
    rgb = [to_rgb(frame) for frame in frames]
    assert [read_index(picture) for picture in rgb] == list(range(13))
    assert {frame.format.name for frame in frames} == {pix_fmt}
    assert [frame.time for frame in frames] == pytest.approx(
        [i * 1001 / 30_000 for i in range(13)], abs=0.0006
    )
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == codec
        assert (stream.width, stream.height) == (320, 192 * pictures_in_a_frame(output_type))
        assert stream.metadata.get("alpha_mode") == ("1" if output_type.value == "alpha" else None)
        context = stream.codec_context
        assert (context.colorspace, context.color_range) == (1, 1)
        assert (context.color_primaries, context.color_trc) == (1, 1)
    assert set(tmp_path.iterdir()) == files_beside(path, output_type)


@pytest.mark.parametrize("output_type", [OutputType.ALPHA, OutputType.ALPHA_PRORES])
def test_alpha_survives(tmp_path: Path, output_type: OutputType) -> None:
    chunk = matte_chunk(6)
    path = write(tmp_path / f"out{output_type.suffix}", output_type, chunk)
    for index, frame in enumerate(read_frames(path, decoder=EXPECTED[output_type][2])):
        assert np.abs(alpha_plane(frame) - chunk.pha[index]).mean() < 1


def test_full_scale_alpha_stays_full_scale_in_prores(tmp_path: Path) -> None:
    chunk = matte_chunk(2)
    chunk.pha[:, :, :160], chunk.pha[:, :, 160:] = 0, 255
    path = write(tmp_path / "out.mov", OutputType.ALPHA_PRORES, chunk)
    alpha = alpha_plane(next(read_frames(path)))
    assert (alpha[:, :160] == 0).all()
    # 1023 of 10 bits, which the decoder shows as 4092 of 12.
    assert (alpha[:, 160:] >= 255 * 4092 / 4095).all()


def test_green_shows_where_nothing_is(tmp_path: Path) -> None:
    chunk = matte_chunk(2)
    chunk.pha[:] = 0
    path = write(tmp_path / "out.mp4", OutputType.GREENSCREEN, chunk)
    picture = to_rgb(next(read_frames(path)))
    assert np.abs(picture.astype(int) - GREEN).max() <= 3


@pytest.mark.parametrize("output_type", VIDEO_TYPES)
@pytest.mark.parametrize("size", [(321, 192), (320, 193), (321, 193)])
def test_odd_sizes_are_padded_and_not_distorted(
    tmp_path: Path, output_type: OutputType, size: tuple[int, int]
) -> None:
    width, height = size
    path = write(tmp_path / f"out{output_type.suffix}", output_type, matte_chunk(3, width, height))
    frames = list(read_frames(path))
    rgb = [to_rgb(frame) for frame in frames]
    assert [read_index(picture) for picture in rgb] == [0, 1, 2]
    odd_is_kept = output_type is OutputType.ALPHA
    width, height = size if odd_is_kept else (width + width % 2, height + height % 2)
    height *= pictures_in_a_frame(output_type)
    assert (frames[0].width, frames[0].height) == (width, height)


@pytest.mark.parametrize("output_type", OutputType)
def test_an_error_on_the_way_leaves_nothing_behind(tmp_path: Path, output_type: OutputType) -> None:
    path = tmp_path / f"out{output_type.suffix}"
    path.write_bytes(b"the result of an earlier run")

    def fail_half_way() -> None:
        with open_writer(path, MatteOptions(output_type), video_info()) as writer:
            writer.write(matte_chunk(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    assert path.read_bytes() == b"the result of an earlier run"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        write(tmp_path / "gone" / "out.mp4", OutputType.GREENSCREEN, matte_chunk(1))


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write(tmp_path / "out.mp4", OutputType.GREENSCREEN, matte_chunk(1))


def test_the_suffix_must_fit_the_type() -> None:
    with pytest.raises(UsageError, match=r"does not end in \.webm"):
        check_output_path(Path("out.mp4"), OutputType.ALPHA)


FULL_DISK = """
import sys
from pathlib import Path
import numpy as np
from rvm_client.errors import OutputError
from rvm_client.output_types import OutputType
from tests.client.encode.test_writer import matte_chunk, write
chunk = matte_chunk(4, 160, 96)
for pixels in (chunk.fgr, chunk.pha):
    pixels[:] = np.random.default_rng(0).integers(0, 256, pixels.shape)
for output_type in OutputType:
    try:
        path = Path(sys.argv[1]) / f"out{output_type.suffix}"
        write(path, output_type, chunk)
    except OutputError as exc:
        print(f"{output_type.value}: {exc}")
    assert list(Path(sys.argv[1]).iterdir()) == []
"""


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """The kernel refuses to let the file grow: the write fails as on a full disk.

    One process for all types, each of which has to leave an empty folder for the next.
    """

    def limit_file_size() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))

    run = subprocess.run(
        [sys.executable, "-B", "-c", FULL_DISK, str(tmp_path)],
        preexec_fn=limit_file_size,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for output_type, line in zip(OutputType, run.stdout.splitlines(), strict=True):
        assert line.startswith(f"{output_type.value}: {tmp_path}/out{output_type.suffix}")
        assert "cannot be written: File too large" in line
