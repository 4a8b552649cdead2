"""Pictures of a folder, in the order of their names, to PNG pictures with alpha.

    python examples/matte_folder.py my_pictures --output my_mattes --server 127.0.0.1:8001

They are taken for the frames of one video, so they are of one size.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from rvm_client import MattingSession, RvmError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def frames(pictures: Iterable[Path]) -> Iterator[npt.NDArray[np.uint8]]:
    """The pictures, upright, as [H,W,3] RGB."""
    for path in pictures:
        with Image.open(path) as image:
            yield np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="A folder.")
@click.option("--server", default="127.0.0.1:8001", show_default=True, metavar="HOST:PORT")
def main(folder: Path, output: Path, server: str) -> None:
    """Matte the pictures in FOLDER."""
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    output.mkdir(parents=True, exist_ok=True)
    try:
        with MattingSession(server) as session:
            mattes = session.matte(frames(pictures))
            for path, matte in zip(pictures, mattes, strict=True):
                Image.fromarray(matte.rgba).save(output / f"{path.stem}.png")
    except (RvmError, OSError) as exc:
        raise click.ClickException(str(exc)) from exc
    click.echo(f"{output}: {len(pictures)} pictures")


if __name__ == "__main__":
    main()
