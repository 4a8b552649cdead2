"""Chunks of frames to alpha mattes and foregrounds, by a model on a Triton server."""

from rvm_client.matte.chunk_size import frames_per_request
from rvm_client.matte.session import MattingModel, MattingSession
from rvm_client.matte.transport import ChunkShape

__all__ = [
    "ChunkShape",
    "MattingModel",
    "MattingSession",
    "frames_per_request",
]
