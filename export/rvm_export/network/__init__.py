"""The network as paper and checkpoint define it, plainly, in floats."""

from rvm_export.network.decoder import halve
from rvm_export.network.network import MattingNetwork, States, fold_batch_norms, resize
from rvm_export.network.refiner import DeepGuidedFilter, box_mean, guide
from rvm_export.network.widths import WIDTHS, Widths

__all__ = [
    "WIDTHS",
    "DeepGuidedFilter",
    "MattingNetwork",
    "States",
    "Widths",
    "box_mean",
    "fold_batch_norms",
    "guide",
    "halve",
    "resize",
]
