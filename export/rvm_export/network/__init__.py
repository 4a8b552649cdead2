"""The network as paper and checkpoint define it, plainly, in floats."""

from rvm_export.network.network import MattingNetwork, States, fold_batch_norms, resize
from rvm_export.network.refiner import DeepGuidedFilter
from rvm_export.network.widths import WIDTHS, Widths

__all__ = [
    "WIDTHS",
    "DeepGuidedFilter",
    "MattingNetwork",
    "States",
    "Widths",
    "fold_batch_norms",
    "resize",
]
