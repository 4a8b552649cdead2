"""Which models a server has, and which version of each a new video begins with."""

from dataclasses import dataclass
from typing import Any

from rvm_client import wire
from rvm_client.errors import ServerError
from rvm_client.matte.connection import Connection
from rvm_client.pixels import I420, RGB

_INPUTS = {wire.MODEL_NAME: wire.INPUTS, wire.YUV_MODEL_NAME: wire.YUV_INPUTS}
_STATE_DTYPES = ("FP32", "FP16")


@dataclass(frozen=True)
class ModelAddress:
    """Where requests go, and how: one version of one model on one server."""

    connection: Connection
    name: str
    version: str
    state_dtype: str
    runs_on_gpu: bool


def models_of(connection: Connection) -> dict[str, ModelAddress]:
    """The active version of each model, by the layout of its frames.

    Raises:
        ServerError: the server has no model for RGB, or one with another contract.
    """
    models = {RGB.name: find_active(connection, wire.MODEL_NAME)}
    if connection.is_served(wire.YUV_MODEL_NAME):
        models[I420.name] = find_active(connection, wire.YUV_MODEL_NAME)
    return models


def find_active(connection: Connection, model_name: str) -> ModelAddress:
    """The version that the model's config names, or the highest.

    Raises:
        ServerError: there is none, or one with another contract.
    """
    metadata, config = connection.metadata(model_name), connection.config(model_name)
    named = config.parameters[wire.ACTIVE_VERSION].string_value
    highest = max(metadata.versions, key=int, default="?")
    version = named if named in metadata.versions else highest
    return _address(connection, metadata, config, version)


def find_version(connection: Connection, model_name: str, version: str) -> ModelAddress | None:
    """One version; None where the server does not have it.

    Raises:
        ServerError: the server does not have the model, or one with another contract.
    """
    metadata = connection.metadata(model_name)
    if version not in metadata.versions:
        return None
    return _address(connection, metadata, connection.config(model_name), version)


def _address(connection: Connection, metadata: Any, config: Any, version: str) -> ModelAddress:
    dtypes = {tensor.name: tensor.datatype for tensor in metadata.inputs}
    state_dtype = str(dtypes.get(wire.STATE_INPUTS[0], ""))
    missing = set(_INPUTS[metadata.name]) - dtypes.keys()
    if missing or state_dtype not in _STATE_DTYPES:
        raise ServerError(
            f"the model {metadata.name} at {connection.url} takes {dtypes}, which is not the wire "
            "contract of this client; serve a model that rvm-export made"
        )
    # Triton says here what it made of KIND_AUTO.
    runs_on_gpu = any(group.kind == group.KIND_GPU for group in config.instance_group)
    return ModelAddress(connection, metadata.name, version, state_dtype, runs_on_gpu)
