"""The network arranged for serving: TorchScript with the wire contract."""

from rvm_export.script.archive import archive_version, program_sha256
from rvm_export.script.torchscript import load, script

__all__ = ["archive_version", "load", "program_sha256", "script"]
