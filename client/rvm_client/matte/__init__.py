"""Chunks of frames to alpha mattes and foregrounds, by a model on a Triton server."""

from rvm_client.matte.chunk_size import frames_per_request
from rvm_client.matte.connection import AsyncConnection, Connection, Request
from rvm_client.matte.endpoint import Credentials
from rvm_client.matte.fitness import check_golden_frame, check_golden_frames
from rvm_client.matte.model import MattingModel, probe_within
from rvm_client.matte.queueing import Label
from rvm_client.matte.remote import RemoteServers
from rvm_client.matte.served import ModelAddress
from rvm_client.matte.session import ChunkSession
from rvm_client.matte.shared_region import shared_room_bytes
from rvm_client.matte.transport import ChunkShape
from rvm_client.matte.warm_up import warm_up

__all__ = [
    "AsyncConnection",
    "ChunkSession",
    "ChunkShape",
    "Connection",
    "Credentials",
    "Label",
    "MattingModel",
    "ModelAddress",
    "RemoteServers",
    "Request",
    "check_golden_frame",
    "check_golden_frames",
    "frames_per_request",
    "probe_within",
    "shared_room_bytes",
    "warm_up",
]
