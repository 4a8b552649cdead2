"""Whether a model computes what the network computes, and what the reference did."""

from rvm_export.verify.differences import TOLERANCES, Difference, Tolerance
from rvm_export.verify.golden_frame import write_golden_frame
from rvm_export.verify.goldens import INT8_CASES, SEED, SEEDED_CASES, GoldenCase
from rvm_export.verify.run import EagerModel, Matte, Model
from rvm_export.verify.verification import (
    Named,
    Subject,
    check_contract,
    check_splitting,
    compare_with_eager,
    compare_with_golden,
    eager_subject,
    seeded_network,
)

__all__ = [
    "INT8_CASES",
    "SEED",
    "SEEDED_CASES",
    "TOLERANCES",
    "Difference",
    "EagerModel",
    "GoldenCase",
    "Matte",
    "Model",
    "Named",
    "Subject",
    "Tolerance",
    "check_contract",
    "check_splitting",
    "compare_with_eager",
    "compare_with_golden",
    "eager_subject",
    "seeded_network",
    "write_golden_frame",
]
