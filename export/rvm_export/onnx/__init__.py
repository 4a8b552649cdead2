"""The network as ONNX, with the wire contract, for Triton's ONNX Runtime backend and others.

Its packages come with the extra `onnx`, and are imported when they are needed.
"""

from rvm_export.onnx.packages import OPSET, check_packages, package_versions
from rvm_export.onnx.session import OnnxModel, load
from rvm_export.onnx.writing import onnx_file

__all__ = ["OPSET", "OnnxModel", "check_packages", "load", "onnx_file", "package_versions"]
