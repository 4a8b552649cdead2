"""A video's person over a picture, frame by frame, with PyAV and Pillow.

    python examples/over_a_picture.py my_video.mp4 beach.jpg --output over.mp4

The server is that of --server, 127.0.0.1:8001 by default. It shows how frames get from a decoder to
the model and on to an encoder, and leaves out sound, rotation and uneven frame times. `matte_video`
keeps them, and takes a background too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import click
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image, ImageOps

from rvm_client import MattingSession, RvmError


def frames(container: Any) -> Iterator[npt.NDArray[np.uint8]]:
    """A video's frames, [H,W,3] RGB, both sides even, as H.264 wants them."""
    for frame in container.decode(video=0):
        yield frame.to_ndarray(format="rgb24")[: frame.height // 2 * 2, : frame.width // 2 * 2]


def covering(path: Path, width: int, height: int) -> npt.NDArray[np.uint8]:
    """A picture, cropped and scaled to [height,width,3]."""
    with Image.open(path) as image:
        return np.asarray(ImageOps.fit(image.convert("RGB"), (width, height)))


@click.command()
@click.argument("video", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("picture", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="An MP4 file.")
@click.option("--server", default="127.0.0.1:8001", show_default=True, metavar="HOST:PORT")
def main(video: Path, picture: Path, output: Path, server: str) -> None:
    """Put the person of VIDEO over PICTURE."""
    try:
        with (
            av.open(str(video)) as source,
            av.open(str(output), "w") as target,
            MattingSession(server, warm_start=True) as session,
        ):
            count = write(source, target, picture, session)
    except (RvmError, OSError, av.error.FFmpegError) as exc:
        raise click.ClickException(str(exc)) from exc
    click.echo(f"{output}: {count} frames")


def write(source: Any, target: Any, picture: Path, session: MattingSession) -> int:
    """Matte all frames of `source` into `target`. Returns how many they were."""
    stream = target.add_stream("libx264", rate=source.streams.video[0].average_rate)
    stream.pix_fmt = "yuv420p"
    # Said in the file, as players guess otherwise.
    stream.codec_context.colorspace = Colorspace.ITU709
    stream.codec_context.color_range = ColorRange.MPEG
    count = 0
    for matte in session.matte(frames(source)):
        if count == 0:
            stream.height, stream.width = matte.alpha.shape
            background = covering(picture, stream.width, stream.height)
        shown = av.VideoFrame.from_ndarray(matte.over(background), format="rgb24")
        yuv = shown.reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        target.mux(stream.encode(yuv))
        count += 1
    target.mux(stream.encode(None))
    return count


if __name__ == "__main__":
    main()
