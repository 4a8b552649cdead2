"""What holds for all stores under test."""

import pytest
from tests.support.uploads import QUICK

from rvm_client.config import Settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests names no store."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test can afford."""
    monkeypatch.setattr("rvm_client.upload.cloudinary.BACKOFF", QUICK)
    monkeypatch.setattr("rvm_client.upload.presigned.BACKOFF", QUICK)
    monkeypatch.setattr("rvm_client.upload.s3.BACKOFF", QUICK)
