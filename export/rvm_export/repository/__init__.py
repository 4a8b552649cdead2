"""What Triton serves: versions that appear whole, what they are made of, and their config."""

from rvm_export.repository.config_pbtxt import FILE_NAME as CONFIG_FILE
from rvm_export.repository.config_pbtxt import (
    WARMUP_FOLDER,
    check_precision,
    precision_of,
    prepare_config,
)
from rvm_export.repository.manifest import FILE_NAME as MANIFEST_FILE
from rvm_export.repository.manifest import Manifest
from rvm_export.repository.policy import (
    ServedVersions,
    served_versions,
    serving,
    without_policy,
    write_served,
)
from rvm_export.repository.removal import Removal, pruned, retired
from rvm_export.repository.repository import GOLDEN_FILE, MODEL_FILE, Repository, check_formats

__all__ = [
    "CONFIG_FILE",
    "GOLDEN_FILE",
    "MANIFEST_FILE",
    "MODEL_FILE",
    "WARMUP_FOLDER",
    "Manifest",
    "Removal",
    "Repository",
    "ServedVersions",
    "check_formats",
    "check_precision",
    "precision_of",
    "prepare_config",
    "pruned",
    "retired",
    "served_versions",
    "serving",
    "without_policy",
    "write_served",
]
