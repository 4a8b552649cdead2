"""Versions come to servers that run, and go, without a request that fails."""

from rvm_export.rollout.activate import Activation, activate, drain, previous_version
from rvm_export.rollout.server import ModelServer

__all__ = ["Activation", "ModelServer", "activate", "drain", "previous_version"]
