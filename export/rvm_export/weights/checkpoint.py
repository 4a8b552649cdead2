"""State dicts: the official checkpoint's keys and shapes, and reading a `.pth` file."""

from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from rvm_export.errors import WeightsError

StateDict = dict[str, Tensor]

_NAMED_KEYS = 3


@cache
def checkpoint_shapes() -> dict[str, tuple[int, ...]]:
    """Key -> shape of the official RVM MobileNetV3 checkpoint, in its order."""
    table = (resources.files("rvm_export") / "data" / "state_dict.tsv").read_text("utf-8")
    rows = (line.split("\t") for line in table.splitlines()[1:])
    return {
        key: () if shape == "-" else tuple(int(size) for size in shape.split(","))
        for key, _, shape in rows
    }


def read_checkpoint(path: Path) -> StateDict:
    """The state dict of a `.pth` file, checked.

    Raises:
        WeightsError: no such file, not a checkpoint, or not one of RVM MobileNetV3.
    """
    try:
        # weights_only: a checkpoint is a pickle, and a pickle could run anything.
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as exc:
        raise WeightsError(f"cannot read the checkpoint {path}: {exc.strerror}") from exc
    # A damaged pickle makes the reader fail in as many ways as it has instructions.
    except Exception as exc:
        raise WeightsError(
            f"{path} is not a PyTorch checkpoint; give rvm_mobilenetv3.pth or rvm.json"
        ) from exc
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path} holds a {type(loaded).__name__}, not a state dict")
    check_state_dict(loaded, str(path))
    return loaded


def check_state_dict(state_dict: StateDict, origin: str) -> None:
    """Keys, shapes and finite values, against the official checkpoint's table.

    Raises:
        WeightsError: with a few of the keys that are wrong.
    """
    shapes = checkpoint_shapes()
    _refuse(origin, "lacks", [key for key in shapes if key not in state_dict])
    _refuse(origin, "has unexpected", [key for key in state_dict if key not in shapes])
    _refuse(origin, "has no tensor at", _keys(state_dict, lambda t: not isinstance(t, Tensor)))
    for key, shape in shapes.items():
        if tuple(state_dict[key].shape) != shape:
            found = list(state_dict[key].shape)
            raise WeightsError(f"{origin}: {key} has the shape {found}, not {list(shape)}")
    _refuse(origin, "has infinite or NaN values in", _keys(state_dict, _not_finite))


def _keys(state_dict: StateDict, wrong: Callable[[Tensor], bool]) -> list[str]:
    return [key for key, value in state_dict.items() if wrong(value)]


def _not_finite(tensor: Tensor) -> bool:
    return not bool(torch.isfinite(tensor).all())


def _refuse(origin: str, problem: str, keys: list[str]) -> None:
    if not keys:
        return
    named = ", ".join(str(key) for key in keys[:_NAMED_KEYS])
    more = f" and {len(keys) - _NAMED_KEYS} more" if len(keys) > _NAMED_KEYS else ""
    raise WeightsError(f"{origin} is not an RVM MobileNetV3 checkpoint: it {problem} {named}{more}")
