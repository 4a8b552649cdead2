"""Whether a server computes what its models were exported to compute.

`golden.npz` in a version's folder is one request in the names of the wire contract, with the
mattes that float32 made of it when the version was exported, and how far they may be missed.
"""

import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rvm_client import wire
from rvm_client.errors import ServerError
from rvm_client.matte.model import MattingModel
from rvm_client.matte.served import ModelAddress
from rvm_client.matte.transport import send_arrays

_LOG = logging.getLogger(__name__)
_FILE_NAME = "golden.npz"


def check_golden_frames(model: MattingModel, repository: Path) -> None:
    """Send each model its golden frame.

    Args:
        model: a connection to the server.
        repository: the server's own model repository.

    Raises:
        ServerError: the mattes differ by more than they may, or the request failed.
    """
    for address in model.addresses:
        file = repository / address.name / address.version / _FILE_NAME
        if file.is_file():
            check_golden_frame(address, file)
        else:
            _LOG.warning(
                "The model %s, version %s, has no golden frame to check it by",
                address.name,
                address.version,
            )


def check_golden_frame(address: ModelAddress, file: Path) -> None:
    """Send one model its golden frame.

    Args:
        address: of the model.
        file: the `golden.npz` that was exported with it.

    Raises:
        ServerError: as `check_golden_frames`.
    """
    arrays = _read(file)
    inputs = {name: arrays[name] for name in wire.YUV_INPUTS if name in arrays}
    fgr, pha = send_arrays(address, inputs)
    alpha_max, alpha_mean = _apart(pha, arrays[wire.PHA])
    colour_max, colour_mean = _apart(fgr, arrays[wire.FGR])
    mean = max(alpha_mean, colour_mean)
    limits = {name: float(arrays[name]) for name in ("pha_max", "fgr_max", "mean")}
    if alpha_max > limits["pha_max"] or colour_max > limits["fgr_max"] or mean > limits["mean"]:
        raise ServerError(
            f"the model {address.name}, version {address.version}, does not give the mattes that "
            f"it was exported to give: alpha differs by up to {alpha_max} levels of 255 and "
            f"foreground by {colour_max}, {mean:.2f} on average; check it with rvm-export verify, "
            "and the GPU, its driver and Triton's version"
        )


def _read(file: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as golden:
            return dict(golden)
    except (OSError, ValueError, zipfile.BadZipFile) as exc:
        raise ServerError(f"{file} is damaged; export the version again: {exc}") from exc


def _apart(actual: npt.NDArray[np.uint8], expected: npt.NDArray[np.uint8]) -> tuple[int, float]:
    """The largest and the mean difference, in levels."""
    if actual.shape != expected.shape:
        return 255, 255.0
    levels = np.abs(actual.astype(np.int16) - expected)
    return int(levels.max()), float(levels.mean())
