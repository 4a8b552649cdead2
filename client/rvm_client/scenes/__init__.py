"""Cuts between scenes, and what lets the model settle before a scene counts."""

from rvm_client.scenes.cuts import cut_times
from rvm_client.scenes.warm_up import with_warm_up

__all__ = [
    "cut_times",
    "with_warm_up",
]
