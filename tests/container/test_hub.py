"""`.runpod/`: what RunPod's Hub reads, against its published format and against our own code."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AnyUrl, BaseModel, ConfigDict, Field

from rvm_client.config import Settings
from rvm_client.errors import UsageError
from rvm_client.job import parse_job
from rvm_client.upload import choose_store

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".runpod"
# Settings of the image itself or of development: nobody who deploys from the Hub has use for them.
NOT_FOR_THE_HUB = {
    "RVM_MODEL_REPOSITORY",
    "RVM_MODEL_CONTROL",
    "RVM_CACHE_DIR",
    "RVM_TRITONSERVER",
    "RVM_TRITON_URL",
    "RVM_RECONNECT_TIMEOUT_S",
    "RVM_UPLOAD_FOLDER",
    "RVM_GRPC_PORT",
    "RVM_HTTP_PORT",
    "RVM_METRICS_HOST",
    "RVM_METRICS_PORT",
    "RVM_TRITON_HOST",
    "RVM_TRITON_HTTP_HOST",
    "RVM_TRITON_TOKEN_FILE",
    "RVM_TRITON_CERTIFICATE_FILE",
    "RVM_TRITON_KEY_FILE",
    "RVM_TRITON_TOKEN",
    "RVM_TRITON_TLS",
    "RVM_TRITON_CA_FILE",
    "RVM_MIN_SHM_BYTES",
    "RVM_REQUIRE_GPU",
    "RVM_SERVER_READY_TIMEOUT_S",
    "RVM_DECODER_PROCESS",
    "RVM_DECODER_CPU_SECONDS",
    "RVM_DECODER_TIMEOUT_S",
    "RVM_WEB_HOST",
    "RVM_WEB_PORT",
    "RVM_WEB_PASSWORD",
    "RVM_WEB_STATE",
    "RVM_WEB_KEEP_SECONDS",
    "RVM_WEB_ALLOWED_HOSTS",
    "RUNPOD_API_KEY",
    "RVM_RUNPOD_API_URL",
    "RVM_RUNPOD_AWAY_TIMEOUT_S",
}
# Read by RunPod, not by us.
OF_RUNPOD = {"RUNPOD_INIT_TIMEOUT"}


class Strict(BaseModel):
    """Fields that the format does not know are mistakes."""

    model_config = ConfigDict(extra="forbid")


CudaVersion = Annotated[str, Field(pattern=r"^1[1-9]\.\d$")]
Name = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]


class Option(Strict):
    label: Text
    value: str


class TextInput(Strict):
    name: Text
    type: Literal["string"]
    description: Text
    default: str
    options: list[Option] | None = None
    advanced: bool = False


class NumberInput(Strict):
    name: Text
    type: Literal["number"]
    description: Text
    min: int
    max: int
    default: int
    advanced: bool = False


class SwitchInput(Strict):
    name: Text
    type: Literal["boolean"]
    description: Text
    default: bool
    trueValue: str  # noqa: N815
    falseValue: str  # noqa: N815
    advanced: bool = False


class Fixed(Strict):
    key: Name
    value: str


class Asked(Strict):
    key: Name
    input: Annotated[TextInput | NumberInput | SwitchInput, Field(discriminator="type")]


class Preset(Strict):
    name: Text
    defaults: dict[Name, str | int | bool]


class HubConfig(Strict):
    runsOn: Literal["GPU"]  # noqa: N815
    containerDiskInGb: Annotated[int, Field(ge=20, le=80)]  # noqa: N815
    gpuCount: Annotated[int, Field(ge=1)]  # noqa: N815
    gpuIds: Annotated[str, Field(pattern=r"^[A-Z]+_\d+(_PRO)?(,[A-Z]+_\d+(_PRO)?)*$")]  # noqa: N815
    allowedCudaVersions: list[CudaVersion]  # noqa: N815
    env: list[Fixed | Asked]
    presets: list[Preset]


class Hub(Strict):
    title: Text
    description: Text
    type: Literal["serverless"]
    category: Literal["audio", "embedding", "language", "video", "image"]
    iconUrl: AnyUrl | None = None  # noqa: N815
    config: HubConfig


class Case(Strict):
    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    input: dict[str, Any]
    timeout: Annotated[int, Field(ge=1000)]  # ms


class TestsConfig(Strict):
    __test__ = False

    gpuTypeId: Text  # noqa: N815
    gpuCount: Annotated[int, Field(ge=1)]  # noqa: N815
    env: list[Fixed]
    allowedCudaVersions: list[CudaVersion]  # noqa: N815


class HubTests(Strict):
    tests: list[Case]
    config: TestsConfig


HUB = Hub.model_validate_json((FOLDER / "hub.json").read_text())
TESTS = HubTests.model_validate_json((FOLDER / "tests.json").read_text())
CASES = {case.name: case for case in TESTS.tests}
FIELDS = {field.validation_alias: field for field in Settings.model_fields.values()}
ASKED = {entry.key: entry.input for entry in HUB.config.env if isinstance(entry, Asked)}


def test_the_format_is_checked() -> None:
    text = json.loads((FOLDER / "hub.json").read_text())
    with pytest.raises(ValueError, match="catgory"):
        Hub.model_validate({**text, "catgory": "video"})


def test_every_setting_is_asked_for_or_left_out_on_purpose() -> None:
    keys = [entry.key for entry in HUB.config.env]
    assert len(keys) == len(set(keys))
    assert {*keys} - OF_RUNPOD == {*map(str, FIELDS)} - NOT_FOR_THE_HUB


@pytest.mark.parametrize("key", [k for k, v in ASKED.items() if not isinstance(v, TextInput)])
def test_defaults_are_those_of_the_code(key: str) -> None:
    asked = ASKED[key]
    assert asked.default == FIELDS[key].default
    if isinstance(asked, NumberInput):
        assert asked.min <= asked.default <= asked.max


def test_what_nobody_fills_in_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RVM_UPLOAD_FOLDER", raising=False)
    for key, asked in ASKED.items():
        value: object = asked.default
        if isinstance(asked, SwitchInput):
            value = asked.trueValue if asked.default else asked.falseValue
        monkeypatch.setenv(key, str(value))
    settings = Settings()
    for key in ASKED:
        name = next(n for n, f in Settings.model_fields.items() if f.validation_alias == key)
        assert getattr(settings, name) == FIELDS[key].default


def test_options_hold_their_default() -> None:
    for asked in ASKED.values():
        if isinstance(asked, TextInput) and asked.options is not None:
            assert asked.default in {option.value for option in asked.options}


def test_presets_set_what_is_asked_for() -> None:
    for preset in HUB.config.presets:
        assert preset.defaults.keys() <= ASKED.keys()
        for key, value in preset.defaults.items():
            asked = ASKED[key]
            if isinstance(asked, NumberInput):
                assert isinstance(value, int)
                assert asked.min <= value <= asked.max


def test_cuda_versions_are_those_that_the_image_runs_on() -> None:
    # The image has CUDA 12.9; older drivers run it on data-centre GPUs only.
    assert set(HUB.config.allowedCudaVersions) == {"12.9", "13.0"}
    assert TESTS.config.allowedCudaVersions == HUB.config.allowedCudaVersions


# --- tests.json


def test_tests_have_names_of_their_own() -> None:
    assert len(CASES) == len(TESTS.tests) > 1


@pytest.mark.parametrize("name", sorted(name for name in CASES if not name.startswith("refuses_")))
def test_jobs_that_run_are_accepted(name: str) -> None:
    assert parse_job(CASES[name].input).video_url.startswith("https://")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("refuses_a_missing_video_url", "video_url"),
        ("refuses_a_ratio_of_the_wrong_type", "downsample_ratio.*a quarter"),
    ],
)
def test_jobs_that_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_job(CASES[name].input)


def test_the_tests_have_a_store() -> None:
    values = {entry.key: entry.value for entry in TESTS.config.env}
    assert values.keys() <= {*map(str, FIELDS)} | OF_RUNPOD
    # Nobody's account: results stay in the container.
    store = choose_store(Settings(upload_folder=Path(values["RVM_UPLOAD_FOLDER"])))
    assert store.name == "a local folder"


# --- files that the Hub looks for


@pytest.mark.parametrize("name", ["handler.py", "Dockerfile", "README.md"])
def test_the_hub_finds(name: str) -> None:
    assert (FOLDER / name).is_file() or (ROOT / name).is_file()


def test_the_handler_is_the_worker() -> None:
    unset = {k: v for k, v in os.environ.items() if k not in FIELDS}
    done = subprocess.run(
        [sys.executable, FOLDER / "handler.py"], env=unset, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: no store is set")
