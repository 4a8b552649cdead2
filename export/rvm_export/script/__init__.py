"""The network arranged for serving: TorchScript with the wire contract."""

from rvm_export.script.torchscript import load, script

__all__ = ["load", "script"]
