"""Files that are given: the `.pth`, `rvm.json`, and all that they may be instead."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rvm_export.config import cache_folder
from rvm_export.errors import WeightsError
from rvm_export.verify.goldens import SEED
from rvm_export.verify.verification import seeded_network
from rvm_export.weights.checkpoint import StateDict
from rvm_export.weights.tfjs import mapping
from rvm_export.weights.weights import Weights, read_weights
from rvm_export.wire import Refiner, Variant

KEY = "decoder.decode4.gru.ih.0.weight"


@pytest.fixture
def state_dict() -> StateDict:
    return dict(seeded_network(SEED).state_dict())


def saved(value: object, folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save(value, path)
    return path


def test_official_keys_load_strictly(state_dict: StateDict, tmp_path: Path) -> None:
    weights = read_weights(saved(state_dict, tmp_path))
    assert weights.refiner is Refiner.DEEP
    assert not weights.are_int8_release
    loaded = weights.network().state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state_dict.items())


def without_keys(weights: StateDict) -> None:
    for key in list(weights)[:5]:
        del weights[key]


def with_keys(weights: StateDict) -> None:
    weights["module.extra"] = torch.zeros(1)


def of_another_shape(weights: StateDict) -> None:
    weights[KEY] = torch.zeros(1, 2)


def with_nan(weights: StateDict) -> None:
    weights[KEY][0, 0, 0, 0] = torch.nan


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_keys, r"lacks backbone\.features\.0\.0\.weight, .* and 2 more"),
        (with_keys, r"unexpected module\.extra"),
        (of_another_shape, r"ih\.0\.weight has the shape \[1, 2\], not \[128, 128, 3, 3\]"),
        (with_nan, r"NaN values in decoder\.decode4\.gru\.ih\.0\.weight"),
    ],
)
def test_wrong_state_dict(
    state_dict: StateDict, tmp_path: Path, spoil: Callable[[StateDict], None], message: str
) -> None:
    spoil(state_dict)
    with pytest.raises(WeightsError, match=message):
        read_weights(saved(state_dict, tmp_path))


def test_checkpoint_of_the_other_variant(
    official_checkpoint: Path, resnet50_checkpoint: Path, rvm_json: Path
) -> None:
    """It is not a list of keys that says so: the weights know which variant they are of."""
    assert read_weights(resnet50_checkpoint, variant=Variant.RESNET50).variant is Variant.RESNET50
    of_resnet50 = r"is a checkpoint of RVM ResNet50, not of RVM MobileNetV3; .*--variant resnet50"
    with pytest.raises(WeightsError, match=of_resnet50):
        read_weights(resnet50_checkpoint)
    with pytest.raises(WeightsError, match=r"of RVM MobileNetV3, .*or give rvm_resnet50\.pth"):
        read_weights(official_checkpoint, variant=Variant.RESNET50)
    with pytest.raises(WeightsError, match="RVM ResNet50 has no int8 release"):
        read_weights(rvm_json, variant=Variant.RESNET50)


def test_something_else_in_a_pth(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds a list, not a state dict"):
        read_weights(saved([1, 2], tmp_path))


class Exploit:
    """Unpickling it would run a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    path = saved({"a": Exploit(tmp_path / "ran")}, tmp_path)
    with pytest.raises(WeightsError, match="is not a PyTorch checkpoint"):
        read_weights(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04broken", b"\x80\x02."])
def test_not_a_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="is not a PyTorch checkpoint"):
        read_weights(path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no checkpoint"):
        read_weights(tmp_path / "none.pth")


@pytest.fixture
def int8_release(weights: Weights, tmp_path: Path) -> Path:
    """A copy of `rvm.json` with `rvm.bin` beside it."""
    assert weights.are_int8_release
    for name in ("rvm.json", "rvm.bin"):
        shutil.copy(cache_folder() / "weights" / name, tmp_path)
    return tmp_path / "rvm.json"


def test_int8_release_from_a_given_file(int8_release: Path, weights: Weights) -> None:
    given = read_weights(int8_release)
    assert given.refiner is Refiner.FAST
    assert given.sha256 == weights.sha256
    # Every key but batch norms and the training head is mapped.
    mapped = {row.key for row in mapping()}
    rest = [key for key in given.state_dict if key not in mapped]
    norms = ("running_mean", "running_var", "num_batches_tracked", "weight")
    assert all(key.startswith("project_seg") or key.endswith(norms) for key in rest)


def test_int8_release_cut_short(int8_release: Path) -> None:
    data = int8_release.with_name("rvm.bin")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="damaged"):
        read_weights(int8_release)


def test_int8_release_without_its_data(int8_release: Path) -> None:
    int8_release.with_name("rvm.bin").unlink()
    with pytest.raises(WeightsError, match=r"cannot read .*rvm\.bin"):
        read_weights(int8_release)


def test_another_tensorflow_model(int8_release: Path) -> None:
    model = json.loads(int8_release.read_text())
    for tensor in model["weightsManifest"][0]["weights"]:
        tensor["name"] = f"other/{tensor['name']}"
    int8_release.write_text(json.dumps(model))
    with pytest.raises(WeightsError, match="is not the RVM MobileNetV3 int8 release"):
        read_weights(int8_release)


@pytest.mark.parametrize("text", ["", "[]", '{"weightsManifest": []}', '{"a": 1}'])
def test_another_json_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rvm.json"
    path.write_text(text)
    with pytest.raises(WeightsError, match=r"is not a TensorFlow\.js model"):
        read_weights(path)
