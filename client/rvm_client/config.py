"""The environment, read here and nowhere else in the client.

Every setting has its variable's name as alias; docs/deploy.md lists them for users.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from rvm_client.errors import ConfigError

Port = Annotated[int, Field(ge=0, le=65535)]

_BUCKET_URL = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(?:/[\w.=@+-]+)*)/?", re.ASCII
)

_CHECKOUT = Path(__file__).resolve().parents[2]


def _default_model_repository() -> Path:
    here = Path("model_repository")
    return here.resolve() if here.is_dir() else _CHECKOUT / "model_repository"


def _default_cache_dir() -> Path:
    return Path(platformdirs.user_cache_dir("rvm-triton", appauthor=False))


def _default_web_state() -> Path:
    return Path(platformdirs.user_state_dir("rvm-triton", appauthor=False)) / "web"


@dataclass(frozen=True)
class BucketLocation:
    """A folder in a bucket, as `s3://BUCKET/PREFIX` names it."""

    bucket: str
    prefix: str
    """Without slashes at its ends; may be empty."""

    @classmethod
    def parse(cls, url: str) -> "BucketLocation":
        """Raises: ValueError: it is not written so."""
        match = _BUCKET_URL.fullmatch(url)
        if match is None or ".." in url:
            raise ValueError(
                "write it as s3://BUCKET/PREFIX; BUCKET_ENDPOINT_URL says where that is"
            )
        return cls(match["bucket"], match["prefix"].strip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def folder_or_bucket(value: str | Path | BucketLocation) -> Path | BucketLocation:
    """What a model repository is named by. Raises: ValueError: as `BucketLocation.parse`."""
    if isinstance(value, str):
        return BucketLocation.parse(value) if value.startswith("s3:") else Path(value)
    return value


class Settings(BaseSettings):
    """What the environment says. Empty variables count as unset."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    model_repository: Annotated[Path | BucketLocation, BeforeValidator(folder_or_bucket)] = Field(
        default_factory=_default_model_repository, validation_alias="RVM_MODEL_REPOSITORY"
    )
    cache_dir: Path = Field(default_factory=_default_cache_dir, validation_alias="RVM_CACHE_DIR")
    tritonserver: Path | None = Field(default=None, validation_alias="RVM_TRITONSERVER")
    triton_url: str | None = Field(default=None, validation_alias="RVM_TRITON_URL")
    triton_token: SecretStr | None = Field(default=None, validation_alias="RVM_TRITON_TOKEN")
    triton_tls: bool = Field(default=False, validation_alias="RVM_TRITON_TLS")
    triton_ca_file: Path | None = Field(default=None, validation_alias="RVM_TRITON_CA_FILE")
    server_ready_timeout_s: float = Field(
        default=180.0, gt=0, validation_alias="RVM_SERVER_READY_TIMEOUT_S"
    )
    request_timeout_s: float = Field(default=60.0, gt=0, validation_alias="RVM_REQUEST_TIMEOUT_S")
    server_restarts: int = Field(default=3, ge=0, validation_alias="RVM_SERVER_RESTARTS")
    reconnect_timeout_s: float = Field(
        default=30.0, ge=0, validation_alias="RVM_RECONNECT_TIMEOUT_S"
    )
    triton_host: str = Field(default="127.0.0.1", validation_alias="RVM_TRITON_HOST")
    triton_http_host: str = Field(default="127.0.0.1", validation_alias="RVM_TRITON_HTTP_HOST")
    triton_token_file: Path | None = Field(default=None, validation_alias="RVM_TRITON_TOKEN_FILE")
    triton_certificate_file: Path | None = Field(
        default=None, validation_alias="RVM_TRITON_CERTIFICATE_FILE"
    )
    triton_key_file: Path | None = Field(default=None, validation_alias="RVM_TRITON_KEY_FILE")
    grpc_port: Port = Field(default=0, validation_alias="RVM_GRPC_PORT")
    http_port: Port = Field(default=0, validation_alias="RVM_HTTP_PORT")
    """The ports of the worker's own server; 0: any free one."""
    model_control: Literal["none", "explicit"] = Field(
        default="none", validation_alias="RVM_MODEL_CONTROL"
    )
    """explicit: versions can be loaded and unloaded while a server of ours runs."""
    triton_log_verbose: int = Field(
        default=0, ge=0, le=2, validation_alias="RVM_TRITON_LOG_VERBOSE"
    )
    metrics_host: str = Field(default="127.0.0.1", validation_alias="RVM_METRICS_HOST")
    metrics_port: Port = Field(default=0, validation_alias="RVM_METRICS_PORT")
    """Of the worker's metrics, its server's among them; 0: any free one."""
    require_gpu: bool = Field(default=False, validation_alias="RVM_REQUIRE_GPU")
    min_shm_bytes: int = Field(default=256 * 2**20, ge=0, validation_alias="RVM_MIN_SHM_BYTES")

    max_download_bytes: int = Field(
        default=500_000_000, gt=0, validation_alias="MAX_DOWNLOAD_BYTES"
    )
    download_timeout_s: float = Field(
        default=300.0, gt=0, validation_alias="RVM_DOWNLOAD_TIMEOUT_S"
    )
    upload_timeout_s: float = Field(default=180.0, gt=0, validation_alias="RVM_UPLOAD_TIMEOUT_S")
    # RunPod ends a job after 600 s, if the endpoint says nothing else, and then nobody is told why.
    job_timeout_s: float = Field(default=570.0, gt=0, validation_alias="RVM_JOB_TIMEOUT_S")
    max_duration_seconds: float = Field(
        default=3600.0, gt=0, validation_alias="RVM_MAX_DURATION_SECONDS"
    )
    max_frame_pixels: int = Field(
        default=4096 * 2304, gt=0, validation_alias="RVM_MAX_FRAME_PIXELS"
    )
    max_frames: int = Field(default=216_000, gt=0, validation_alias="RVM_MAX_FRAMES")
    decoder_process: bool = Field(default=True, validation_alias="RVM_DECODER_PROCESS")
    decoder_memory_bytes: int = Field(
        default=3 * 2**30, ge=2**28, validation_alias="RVM_DECODER_MEMORY_BYTES"
    )
    decoder_cpu_seconds: int = Field(default=7200, gt=0, validation_alias="RVM_DECODER_CPU_SECONDS")
    decoder_timeout_s: float = Field(default=120.0, gt=0, validation_alias="RVM_DECODER_TIMEOUT_S")
    allow_private_addresses: bool = Field(
        default=False, validation_alias="RVM_ALLOW_PRIVATE_ADDRESSES"
    )

    # Where results go; `upload.choose_store` says which of these comes first.
    cloudinary_url: SecretStr | None = Field(default=None, validation_alias="CLOUDINARY_URL")
    cloudinary_cloud_name: str | None = Field(
        default=None, validation_alias="CLOUDINARY_CLOUD_NAME"
    )
    cloudinary_api_key: SecretStr | None = Field(
        default=None, validation_alias="CLOUDINARY_API_KEY"
    )
    cloudinary_api_secret: SecretStr | None = Field(
        default=None, validation_alias="CLOUDINARY_API_SECRET"
    )
    # "100 MB" is the largest video of Cloudinary's free plan. Its sizes count in MiB where they
    # were seen in its answers; a decimal limit is right under both readings.
    cloudinary_max_file_bytes: int = Field(
        default=100_000_000, gt=0, validation_alias="CLOUDINARY_MAX_FILE_BYTES"
    )
    bucket_endpoint_url: SecretStr | None = Field(
        default=None, validation_alias="BUCKET_ENDPOINT_URL"
    )
    bucket_access_key_id: SecretStr | None = Field(
        default=None, validation_alias="BUCKET_ACCESS_KEY_ID"
    )
    bucket_secret_access_key: SecretStr | None = Field(
        default=None, validation_alias="BUCKET_SECRET_ACCESS_KEY"
    )
    bucket_name: str | None = Field(default=None, validation_alias="BUCKET_NAME")
    bucket_region: str | None = Field(default=None, validation_alias="BUCKET_REGION")
    upload_folder: Path | None = Field(default=None, validation_alias="RVM_UPLOAD_FOLDER")

    runpod_api_key: SecretStr | None = Field(default=None, validation_alias="RUNPOD_API_KEY")
    runpod_api_url: str = Field(
        default="https://api.runpod.ai/v2", validation_alias="RVM_RUNPOD_API_URL"
    )
    runpod_away_timeout_s: float = Field(
        default=300.0, gt=0, validation_alias="RVM_RUNPOD_AWAY_TIMEOUT_S"
    )

    web_host: str = Field(default="127.0.0.1", validation_alias="RVM_WEB_HOST")
    web_port: Port = Field(default=7860, validation_alias="RVM_WEB_PORT")
    web_password: SecretStr | None = Field(default=None, validation_alias="RVM_WEB_PASSWORD")
    web_state: Path = Field(default_factory=_default_web_state, validation_alias="RVM_WEB_STATE")
    web_keep_seconds: float = Field(default=3600.0, gt=0, validation_alias="RVM_WEB_KEEP_SECONDS")
    web_allowed_hosts: str = Field(default="", validation_alias="RVM_WEB_ALLOWED_HOSTS")
    """Names with spaces between them."""

    jobs_at_once: int = Field(default=0, ge=0, le=16, validation_alias="RVM_JOBS_AT_ONCE")
    """0: as many as fit the machine."""
    hardware_codecs: Literal["auto", "off"] = Field(
        default="auto", validation_alias="RVM_HARDWARE_CODECS"
    )
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "NOTSET"] = Field(
        default="INFO", validation_alias="RUNPOD_LOG_LEVEL"
    )


def process_environment() -> dict[str, str]:
    """All of it, for a child process; what a child really gets is decided by who starts it."""
    return dict(os.environ)


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigError: naming the first variable that cannot be used.
    """
    try:
        return Settings()
    except ValidationError as exc:
        first = exc.errors()[0]
        raise ConfigError(
            f"the environment variable {first['loc'][0]} is {first['input']!r}: {first['msg']}"
        ) from exc
