"""Which store follows from which settings, and what is said when none does."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from rvm_client.config import Settings, load_settings
from rvm_client.errors import ConfigError, UsageError
from rvm_client.s3 import S3Bucket
from rvm_client.upload import UploadRequest, choose_store

ALL = Settings(
    cloudinary_url=SecretStr("cloudinary://the-key:the-secret@cloud"),
    cloudinary_cloud_name="cloud",
    cloudinary_api_key=SecretStr("the-key"),
    cloudinary_api_secret=SecretStr("the-secret"),
    bucket_endpoint_url=SecretStr("https://my-bucket.s3.eu-west-1.amazonaws.com"),
    bucket_access_key_id=SecretStr("the-key"),
    bucket_secret_access_key=SecretStr("the-secret"),
    upload_folder=Path("results"),
)


def changed(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update=changes)


NO_CLOUDINARY = changed(
    ALL,
    cloudinary_url=None,
    cloudinary_cloud_name=None,
    cloudinary_api_key=None,
    cloudinary_api_secret=None,
)


def test_cloudinary_comes_first_then_s3_then_the_folder() -> None:
    folder_only = Settings(upload_folder=Path("results"))

    names = [choose_store(settings).name for settings in (ALL, NO_CLOUDINARY, folder_only)]

    assert names == ["Cloudinary", "S3", "a local folder"]


def test_nothing_set_says_what_to_set() -> None:
    with pytest.raises(ConfigError) as e:
        choose_store(Settings())

    for variable in ("CLOUDINARY_URL", "BUCKET_ENDPOINT_URL", "RVM_UPLOAD_FOLDER"):
        assert variable in str(e.value)


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        (
            changed(NO_CLOUDINARY, cloudinary_cloud_name="cloud"),
            "CLOUDINARY_API_KEY and CLOUDINARY_API_SECRET too",
        ),
        (
            changed(NO_CLOUDINARY, bucket_access_key_id=SecretStr("")),
            "set BUCKET_ACCESS_KEY_ID too",
        ),
        (Settings(bucket_name="b", upload_folder=Path("x")), "set BUCKET_ENDPOINT_URL and"),
    ],
)
def test_a_store_that_is_half_set_is_an_error(settings: Settings, missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        choose_store(settings)


def test_no_file_is_smaller_than_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDINARY_MAX_FILE_BYTES", "0")
    with pytest.raises(ConfigError, match="CLOUDINARY_MAX_FILE_BYTES is '0'"):
        load_settings()


def test_secrets_stay_out_of_representations(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stores = [choose_store(settings) for settings in (ALL, NO_CLOUDINARY)]

    shown = repr(ALL) + repr(stores) + repr([vars(store) for store in stores])

    assert "the-secret" not in shown + caplog.text
    assert "the-key" not in shown


def test_the_sdks_are_imported_only_when_used() -> None:
    program = """
import sys
from pathlib import Path
from rvm_client.config import Settings
from rvm_client.upload import choose_store
choose_store(Settings(upload_folder=Path("x")))
heavy = {"boto3", "botocore", "cloudinary"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_cloudinary_url_that_the_sdk_itself_refuses() -> None:
    program = """
from rvm_client.config import load_settings
from rvm_client.errors import ConfigError
from rvm_client.upload import choose_store
try:
    choose_store(load_settings())
except ConfigError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "CLOUDINARY_URL": "https://key:the-secret@cloud"},
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )

    assert run.stdout.startswith("CLOUDINARY_URL cannot be used: write it as cloudinary://")
    assert "the-secret" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("url", "name", "expected"),
    [
        (
            "https://my-bucket.s3.eu-west-1.amazonaws.com",
            None,
            ("https://s3.eu-west-1.amazonaws.com", "my-bucket", "eu-west-1"),
        ),
        (
            "https://a.b.s3.eu-west-1.amazonaws.com/",
            None,
            ("https://s3.eu-west-1.amazonaws.com", "a.b", "eu-west-1"),
        ),
        (
            "https://s3.eu-west-1.amazonaws.com",
            "b",
            ("https://s3.eu-west-1.amazonaws.com", "b", "eu-west-1"),
        ),
        (
            "https://b.s3.amazonaws.com",
            "b",
            ("https://s3.amazonaws.com", "b", "us-east-1"),
        ),
        (
            "https://b.nyc3.digitaloceanspaces.com",
            None,
            ("https://nyc3.digitaloceanspaces.com", "b", "nyc3"),
        ),
        (
            "https://s3api-eu-ro-1.runpod.io/",
            "volume",
            ("https://s3api-eu-ro-1.runpod.io", "volume", "eu-ro-1"),
        ),
        (
            "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com/b",
            None,
            ("https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com", "b", "us-east-1"),
        ),
        ("http://minio.s3.lan:9000", "b", ("http://minio.s3.lan:9000", "b", "us-east-1")),
        ("http://127.0.0.1:9000/b", None, ("http://127.0.0.1:9000", "b", "us-east-1")),
    ],
)
def test_bucket_and_region_follow_from_the_endpoint(
    url: str, name: str | None, expected: tuple[str, str, str]
) -> None:
    bucket = S3Bucket.from_settings(url, "key", "secret", name)

    assert (bucket.endpoint_url, bucket.name, bucket.region) == expected


def test_a_region_that_is_set_wins() -> None:
    bucket = S3Bucket.from_settings("https://s3.eu-west-1.amazonaws.com", "k", "s", "b", "auto")

    assert bucket.region == "auto"


@pytest.mark.parametrize(
    ("url", "name", "message"),
    [
        ("https://s3.eu-west-1.amazonaws.com", None, "set BUCKET_NAME too"),
        ("https://a.s3.eu-west-1.amazonaws.com", "b", "bucket 'a' and BUCKET_NAME 'b'"),
        ("https://host/a/b", None, "at most the bucket's name"),
        ("https://key:the-secret@host/a", None, "without credentials"),
        ("host:9000", None, "must be an http or https URL"),
        ("http://[::1", None, "must be an http or https URL"),
    ],
)
def test_endpoints_that_cannot_be_used(url: str, name: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as e:
        S3Bucket.from_settings(url, "key", "secret", name)

    assert "the-secret" not in str(e.value)


@pytest.mark.parametrize("folder", ["../up", "/abs", "a//b", "a/", "a\\b", "a/./b", "a\nb"])
def test_folders_that_lead_elsewhere_are_refused(folder: str) -> None:
    with pytest.raises(UsageError, match="the folder"):
        UploadRequest(path=Path("x.mp4"), folder=folder, name="n", content_type="video/mp4")


def test_keys_keep_the_file_s_extension() -> None:
    request = UploadRequest(path=Path("x.webm"), folder="", name="n.1", content_type="video/webm")

    assert request.key == "n.1.webm"
    assert replace(request, folder="a/b").key == "a/b/n.1.webm"


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="the name"):
        UploadRequest(path=Path("x.mp4"), folder="f", name=name, content_type="video/mp4")
