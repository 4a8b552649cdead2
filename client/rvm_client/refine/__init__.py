"""Mattes to better mattes, where somebody asks for it."""

from rvm_client.refine.findings import Findings
from rvm_client.refine.refine import refined

__all__ = ["Findings", "refined"]
