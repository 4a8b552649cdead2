"""The network as paper and checkpoint define it, plainly, in floats."""

from rvm_export.network.decoder import STATE_CHANNELS
from rvm_export.network.network import MattingNetwork, States, fold_batch_norms, resize
from rvm_export.network.refiner import DeepGuidedFilter

__all__ = [
    "STATE_CHANNELS",
    "DeepGuidedFilter",
    "MattingNetwork",
    "States",
    "fold_batch_norms",
    "resize",
]
