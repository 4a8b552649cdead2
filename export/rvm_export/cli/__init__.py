"""The command `rvm-export`."""

from rvm_export.cli.main import main

__all__ = ["main"]
