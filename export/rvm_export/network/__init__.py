"""The network as paper and checkpoint define it, plainly, in floats."""

from rvm_export.network.decoder import STATE_CHANNELS
from rvm_export.network.network import MattingNetwork, Refiner, States, fold_batch_norms, resize
from rvm_export.network.decoder import halve
from rvm_export.network.refiner import DeepGuidedFilter

__all__ = [
    "STATE_CHANNELS",
    "DeepGuidedFilter",
    "MattingNetwork",
    "Refiner",
    "States",
    "fold_batch_norms",
    "halve",
    "resize",
]
