"""Where weights come from, and what they must be."""

from rvm_export.weights.again import weights_again
from rvm_export.weights.checkpoint import StateDict, checkpoint_shapes
from rvm_export.weights.weights import Say, Source, Weights, fetch_weights, read_weights

__all__ = [
    "Say",
    "Source",
    "StateDict",
    "Weights",
    "checkpoint_shapes",
    "fetch_weights",
    "read_weights",
    "weights_again",
]
