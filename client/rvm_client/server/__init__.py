"""A Triton server on this machine: found, started, watched, ended."""

from rvm_client.server.environment import SERVER_TUNING
from rvm_client.server.guard import SEGMENT_FOLDER
from rvm_client.server.options import ServerOptions, newest_version
from rvm_client.server.server import TritonServer
from rvm_client.server.starting import StartingServer

__all__ = [
    "SEGMENT_FOLDER",
    "SERVER_TUNING",
    "ServerOptions",
    "StartingServer",
    "TritonServer",
    "newest_version",
]
