"""`python -m bench.key_picture FILE`: hair before a screen, the model alone beside the key.

The highest version of the model repository makes the matte, of one frame of the made set.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from rvm_client.config import load_settings
from rvm_client.options import MatteOptions
from rvm_client.pixels import UInt8Array
from rvm_client.refinements import Refinements
from rvm_client.server import ServerOptions
from rvm_export.evaluate import MadeSet, ScenesAndRatio, Version, find_clips, make_dataset
from rvm_export.evaluate.matting import matte
from rvm_export.evaluate.metrics import Frame
from rvm_export.repository import Repository

_MADE = MadeSet(clips=2, frames=3, width_pixels=1280, height_pixels=720, screen=True)
_HAIR = 1
# Of the frame: top, left, and size.
_PART = (slice(60, 240), slice(630, 810))
_ZOOM = 2
_BEHIND = np.array([235, 235, 235])


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as name:
        make_dataset(Path(name) / "made", _MADE, lambda: None)
        clip = find_clips(Path(name) / "made")[_HAIR]
        repository = Repository(ServerOptions.configured(load_settings()).model_repository)
        version = Version.load(repository, None, "cpu")
        shown = [clip.composite(_MADE.frames - 1)]
        for wished in (Refinements(), Refinements(source_type="green_screen")):
            how = ScenesAndRatio(MatteOptions(refinements=wished))
            shown.append(_over([*matte(clip, version.subject, how).frames][-1]))
        shown.append(_over(clip.truth(_MADE.frames - 1)))
    beside = np.hstack([picture[_PART] for picture in shown])
    size = (beside.shape[1] * _ZOOM, beside.shape[0] * _ZOOM)
    picture = Image.fromarray(beside).resize(size, Image.Resampling.NEAREST)
    picture.save(sys.argv[1], quality=88)


def _over(frame: Frame) -> UInt8Array:
    alpha = frame.pha[..., np.newaxis] / 255
    return np.asarray(np.rint(alpha * frame.fgr + (1 - alpha) * _BEHIND), np.uint8)


if __name__ == "__main__":
    main()
