"""Cuts between scenes, and what lets the model settle before a scene counts."""

from rvm_client.scenes.warm_up import with_warm_up

__all__ = [
    "with_warm_up",
]
