"""State dicts: the keys and shapes of official checkpoints, and reading a `.pth` file."""

from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from rvm_export.errors import WeightsError
from rvm_export.wire import Variant

StateDict = dict[str, Tensor]

_NAMED_KEYS = 3


@cache
def checkpoint_shapes(variant: Variant = Variant.MOBILENETV3) -> dict[str, tuple[int, ...]]:
    """Key -> shape of the official checkpoint of a variant, in its order."""
    path = resources.files("rvm_export") / "data" / f"state_dict_{variant.value}.tsv"
    rows = (line.split("\t") for line in path.read_text("utf-8").splitlines()[1:])
    return {
        # A scalar has no sizes.
        key: tuple(int(size) for size in shape.split(",") if size not in ("", "-"))
        for key, _, shape in rows
    }


def variant_of(state_dict: StateDict) -> Variant | None:
    """The variant that most of the keys are of; None: of none."""
    shared = {v: len(state_dict.keys() & checkpoint_shapes(v).keys()) for v in Variant}
    most = max(shared, key=lambda variant: shared[variant])
    return most if shared[most] > len(checkpoint_shapes(most)) / 2 else None


def read_checkpoint(path: Path, variant: Variant = Variant.MOBILENETV3) -> StateDict:
    """The state dict of a `.pth` file, checked.

    Raises:
        WeightsError: no such file, not a checkpoint, or not one of the variant.
    """
    try:
        # weights_only: a checkpoint is a pickle, and a pickle could run anything.
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as exc:
        raise WeightsError(f"cannot read the checkpoint {path}: {exc.strerror}") from exc
    # A damaged pickle makes the reader fail in as many ways as it has instructions.
    except Exception as exc:
        raise WeightsError(
            f"{path} is not a PyTorch checkpoint; give {_files_of(variant)}"
        ) from exc
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path} holds a {type(loaded).__name__}, not a state dict")
    check_state_dict(loaded, str(path), variant)
    return loaded


def _files_of(variant: Variant) -> str:
    official = f"rvm_{variant.value}.pth"
    return f"{official} or rvm.json" if variant is Variant.MOBILENETV3 else official


def check_state_dict(state_dict: StateDict, origin: str, variant: Variant) -> None:
    """Keys, shapes and finite values, against the table of the variant's official checkpoint.

    Raises:
        WeightsError: with a few of the keys that are wrong, or with the variant it is of.
    """
    found = variant_of(state_dict)
    if found not in (None, variant):
        raise WeightsError(
            f"{origin} is a checkpoint of RVM {found.paper_name}, not of RVM {variant.paper_name}; "
            f"export it with --variant {found.value}, or give {_files_of(variant)}"
        )
    shapes = checkpoint_shapes(variant)
    name = f"an RVM {variant.paper_name} checkpoint"
    _refuse(origin, name, "lacks", [key for key in shapes if key not in state_dict])
    _refuse(origin, name, "has unexpected", [key for key in state_dict if key not in shapes])
    no_tensors = _keys(state_dict, lambda t: not isinstance(t, Tensor))
    _refuse(origin, name, "has no tensor at", no_tensors)
    for key, shape in shapes.items():
        if (actual := list(state_dict[key].shape)) != list(shape):
            raise WeightsError(f"{origin}: {key} has the shape {actual}, not {list(shape)}")
    _refuse(origin, name, "has infinite or NaN values in", _keys(state_dict, _not_finite))


def _keys(state_dict: StateDict, wrong: Callable[[Tensor], bool]) -> list[str]:
    return [key for key, value in state_dict.items() if wrong(value)]


def _not_finite(tensor: Tensor) -> bool:
    return not bool(torch.isfinite(tensor).all())


def _refuse(origin: str, name: str, problem: str, keys: list[str]) -> None:
    if not keys:
        return
    named = ", ".join(str(key) for key in keys[:_NAMED_KEYS])
    more = f" and {len(keys) - _NAMED_KEYS} more" if len(keys) > _NAMED_KEYS else ""
    raise WeightsError(f"{origin} is not {name}: it {problem} {named}{more}")
