"""Which models a server has, and which version of each a new video begins with."""

from dataclasses import dataclass
from typing import Any

from rvm_client import wire
from rvm_client.errors import ServerError
from rvm_client.matte.connection import Connection

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
    """The active version of each model that the server has, by its name.

    Raises:
        ServerError: the server has not the one that all have, or one with another contract.
    """
    names = [wire.MODEL_NAME]
    for variant in wire.Variant:
        rgb, yuv = (wire.ModelKind(variant, takes_planes).name for takes_planes in (False, True))
        if rgb not in names and connection.is_served(rgb):
            names.append(rgb)
        # A model for planes goes beside the one for RGB.
        if rgb in names and connection.is_served(yuv):
            names.append(yuv)
    return {name: find_active(connection, name) for name in names}


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
    missing = set(wire.MODELS[metadata.name].inputs) - dtypes.keys()
    if missing or state_dtype not in _STATE_DTYPES:
        raise ServerError(
            f"the model {metadata.name} at {connection.url} takes {dtypes}, which is not the wire "
            "contract of this client; serve a model that rvm-export made"
        )
    # Triton says here what it made of KIND_AUTO.
    runs_on_gpu = any(group.kind == group.KIND_GPU for group in config.instance_group)
    return ModelAddress(connection, metadata.name, version, state_dtype, runs_on_gpu)
