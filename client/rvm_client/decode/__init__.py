"""A stranger's media file to chunks of frames at their times."""

from rvm_client.decode.clock import JoinedClock
from rvm_client.decode.file import open_source, read_packets
from rvm_client.decode.reader import Reader, VideoReader, check_source
from rvm_client.decode.stills import read_rgba_at

__all__ = [
    "JoinedClock",
    "Reader",
    "VideoReader",
    "check_source",
    "open_source",
    "read_packets",
    "read_rgba_at",
]
