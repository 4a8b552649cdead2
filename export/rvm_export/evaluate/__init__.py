"""How good a version is: measured against true alphas, and a set of those to make anywhere."""

from rvm_export.evaluate.dataset import find_clips
from rvm_export.evaluate.evaluation import Evaluation, evaluate
from rvm_export.evaluate.matting import ScenesAndRatio, Version
from rvm_export.evaluate.metrics import Figures
from rvm_export.evaluate.report import PAPER_NOTE, table_of
from rvm_export.evaluate.synthetic import KINDS, SIZE_BOUNDS_PIXELS, MadeSet, make_dataset

__all__ = [
    "KINDS",
    "PAPER_NOTE",
    "SIZE_BOUNDS_PIXELS",
    "Evaluation",
    "Figures",
    "MadeSet",
    "ScenesAndRatio",
    "Version",
    "evaluate",
    "find_clips",
    "make_dataset",
    "table_of",
]
