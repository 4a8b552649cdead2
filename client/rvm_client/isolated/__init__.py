"""Strangers' files, opened in a process that has nothing to lose."""

from rvm_client.isolated.opening import Opener, OpensHere
from rvm_client.isolated.pool import DecoderPool
from rvm_client.isolated.process import DecoderLimits

__all__ = [
    "DecoderLimits",
    "DecoderPool",
    "Opener",
    "OpensHere",
]
