"""Video background removal with RobustVideoMatting on a Triton server: the client side.

The names below are the package's API. They are imported when they are asked for, so that
whoever needs one of them does not wait for the libraries of the others.

Inside, data goes download -> decode -> scenes -> matte -> encode -> upload, a folder each.
`pipeline` composes decode to encode, and the edges `cli` and `worker` use it. `direct` is for
programs that have frames in hand.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rvm_client.alpha_edges import Edges
    from rvm_client.direct import AsyncMattingSession, Matte, MattingSession
    from rvm_client.errors import (
        AccessError,
        ConfigError,
        InferenceError,
        InputError,
        NotServedError,
        OutOfMemoryError,
        OutputError,
        RvmError,
        ServerBusyError,
        ServerError,
        ServerLostError,
        ServerUnreachableError,
        StoppedError,
        UsageError,
    )
    from rvm_client.matte import Credentials, MattingModel
    from rvm_client.options import Also, Limits, MatteOptions
    from rvm_client.output_types import OutputType
    from rvm_client.pipeline import MatteProgress, MatteResult, matte_video
    from rvm_client.refinements import Refinements
    from rvm_client.subject import Subject

__version__ = "0.1.0"

__all__ = [
    "AccessError",
    "Also",
    "AsyncMattingSession",
    "ConfigError",
    "Credentials",
    "Edges",
    "InferenceError",
    "InputError",
    "Limits",
    "Matte",
    "MatteOptions",
    "MatteProgress",
    "MatteResult",
    "MattingModel",
    "MattingSession",
    "NotServedError",
    "OutOfMemoryError",
    "OutputError",
    "OutputType",
    "Refinements",
    "RvmError",
    "ServerBusyError",
    "ServerError",
    "ServerLostError",
    "ServerUnreachableError",
    "StoppedError",
    "Subject",
    "UsageError",
    "matte_video",
]

_HOMES = {
    "alpha_edges": {"Edges"},
    "errors": {name for name in __all__ if name.endswith("Error")},
    "direct": {"AsyncMattingSession", "Matte", "MattingSession"},
    "matte": {"Credentials", "MattingModel"},
    "options": {"Also", "Limits", "MatteOptions"},
    "output_types": {"OutputType"},
    "pipeline": {"MatteProgress", "MatteResult", "matte_video"},
    "refinements": {"Refinements"},
    "subject": {"Subject"},
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
