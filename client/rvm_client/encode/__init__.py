"""Alpha mattes and foregrounds to files."""

from rvm_client.encode.backdrops import (
    Backdrop,
    ColourBackdrop,
    PictureBackdrop,
    VideoBackdrop,
    cover,
)
from rvm_client.encode.formats import VIDEO_FORMATS, check_encoders
from rvm_client.encode.planar_frames import takes_planes
from rvm_client.encode.preview import check_preview_path
from rvm_client.encode.writer import (
    Writer,
    check_output_path,
    matte_path,
    open_joined,
    open_part_writer,
    open_writer,
)

__all__ = [
    "VIDEO_FORMATS",
    "Backdrop",
    "ColourBackdrop",
    "PictureBackdrop",
    "VideoBackdrop",
    "Writer",
    "check_encoders",
    "check_output_path",
    "check_preview_path",
    "cover",
    "matte_path",
    "open_joined",
    "open_part_writer",
    "open_writer",
    "takes_planes",
]
