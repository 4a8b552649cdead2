"""How two versions differ: on the golden frames or on a video, frame by frame, and where."""

from rvm_export.compare.clips import Clip, golden_clips, video_clip
from rvm_export.compare.comparison import LEVELS, Comparison, FrameDifference, compare
from rvm_export.compare.files import write_whole
from rvm_export.compare.picture import write_picture
from rvm_export.compare.sides import (
    REFERENCE,
    Found,
    Side,
    find_version,
    reference_side,
    version_side,
)

__all__ = [
    "LEVELS",
    "REFERENCE",
    "Clip",
    "Comparison",
    "Found",
    "FrameDifference",
    "Side",
    "compare",
    "find_version",
    "golden_clips",
    "reference_side",
    "version_side",
    "video_clip",
    "write_picture",
    "write_whole",
]
