"""What Triton serves: versions that appear whole, what they are made of, and their config."""

from rvm_export.repository.config_pbtxt import check_precision, prepare_config
from rvm_export.repository.manifest import Manifest
from rvm_export.repository.policy import ServedVersions, served_versions, serving, write_served
from rvm_export.repository.repository import GOLDEN_FILE, MODEL_FILE, Repository

__all__ = [
    "GOLDEN_FILE",
    "MODEL_FILE",
    "Manifest",
    "Repository",
    "ServedVersions",
    "check_precision",
    "prepare_config",
    "served_versions",
    "serving",
    "write_served",
]
