"""The copy of a bucket's model repository: what is fetched, and what it is at any time."""

import contextlib
import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.support import http_faults as faults
from tests.support.s3_server import S3Front, emptied_s3, running_moto

from rvm_client.config import BucketLocation, Settings
from rvm_client.errors import BucketChangedError, BucketError, ConfigError, ServerStartError
from rvm_client.server.bucket_copy import BucketSource, bring_up_to_date

PREFIX = "of/production"
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with running_moto() as url:
        yield url


@pytest.fixture
def s3(moto_url: str) -> Iterator[Any]:
    with emptied_s3(moto_url, "models") as client:
        yield client


@pytest.fixture
def front(s3: Any, moto_url: str) -> Iterator[S3Front]:
    del s3
    with S3Front(moto_url) as running:
        yield running


@pytest.fixture
def source(front: S3Front, tmp_path: Path) -> BucketSource:
    return make_source(front, tmp_path)


def make_source(front: S3Front, cache: Path) -> BucketSource:
    settings = Settings(
        bucket_endpoint_url=SecretStr(front.base_url),
        bucket_access_key_id=SecretStr("the-key-id"),
        bucket_secret_access_key=SecretStr("the-secret"),
        bucket_name="results",
        cache_dir=cache,
    )
    return BucketSource.configured(BucketLocation.parse(f"s3://models/{PREFIX}"), settings)


def version(number: int, content: bytes = b"model", model: str = "rvm") -> Files:
    content += str(number).encode()
    manifest = json.dumps({"model_sha256": hashlib.sha256(content).hexdigest()}).encode()
    folder = f"{model}/{number}"
    return {f"{folder}/model.pt": content, f"{folder}/manifest.json": manifest}


CONFIG = {"rvm/config.pbtxt": b"config", "rvm/warmup/ratio": b"1234"}


def put(s3: Any, files: Files) -> None:
    for name, content in files.items():
        s3.put_object(Bucket="models", Key=f"{PREFIX}/{name}", Body=content)


def remove(s3: Any, *names: str) -> None:
    for name in names:
        s3.delete_object(Bucket="models", Key=f"{PREFIX}/{name}")


def bring(source: BucketSource, timeout_s: float = 30.0) -> None:
    bring_up_to_date(source, lambda: False, timeout_s)


def copied(source: BucketSource) -> Files:
    """All that is in the copy; beside it there is nothing but the record."""
    root = source.model_repository
    assert {path.name for path in source.folder.iterdir()} <= {"models", "objects.json"}
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def fetched(front: S3Front) -> list[str]:
    """The names of the files that were asked for since the last call."""
    paths = [request.path for request in front.requests if "list-type" not in request.path]
    front.requests.clear()
    return [path.partition(f"{PREFIX}/")[2].partition("?")[0] for path in paths]


def test_only_what_changed_is_fetched(s3: Any, front: S3Front, source: BucketSource) -> None:
    first = CONFIG | version(1)
    put(s3, first)
    bring(source)
    assert copied(source) == first
    assert sorted(fetched(front)) == sorted(first)

    bring(source)
    assert fetched(front) == []

    second = first | version(2) | {"rvm/config.pbtxt": b"of 2"}
    put(s3, second)
    bring(source)
    assert copied(source) == second
    assert sorted(fetched(front)) == sorted([*version(2), "rvm/config.pbtxt"])


def test_what_vanished_is_removed(s3: Any, source: BucketSource) -> None:
    others = version(1, model="other") | {"other/config.pbtxt": b"o"}
    put(s3, CONFIG | version(1) | version(2) | others)
    bring(source)
    remove(s3, *version(1), *others, "rvm/warmup/ratio")
    bring(source)
    assert copied(source) == {"rvm/config.pbtxt": b"config"} | version(2)
    assert [path.name for path in source.model_repository.iterdir()] == ["rvm"]


def test_what_is_not_whole_is_left_out(s3: Any, front: S3Front, source: BucketSource) -> None:
    """A version on its way, a model without a config, hidden names, and names that lead out."""
    whole = CONFIG | version(1)
    put(s3, whole)
    put(s3, {"rvm/2/model.pt": b"on its way"})
    put(s3, version(1, model="half"))
    put(s3, dict.fromkeys(("rvm/3/../../../evil", "rvm/.4/manifest.json", "x", "rvm/"), b"evil"))
    bring(source)
    assert copied(source) == whole
    assert sorted(fetched(front)) == sorted(whole)


def test_a_version_that_was_replaced(s3: Any, source: BucketSource) -> None:
    put(s3, CONFIG | version(1))
    bring(source)
    put(s3, version(1, b"another"))
    bring(source)
    assert copied(source) == CONFIG | version(1, b"another")


def test_what_somebody_spoiled_in_the_copy_is_fetched_again(s3: Any, source: BucketSource) -> None:
    put(s3, CONFIG | version(1))
    bring(source)
    (source.model_repository / "rvm/1/model.pt").write_bytes(b"short")
    (source.model_repository / "rvm/config.pbtxt").unlink()
    (source.model_repository / "rvm/9").mkdir()
    bring(source)
    assert copied(source) == CONFIG | version(1)
    assert not (source.model_repository / "rvm/9").exists()


def test_a_damaged_model_changes_nothing(
    s3: Any, source: BucketSource, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither its version nor what came with it; and without a copy it is an error."""
    damaged = version(2) | {"rvm/2/model.pt": b"damaged", "rvm/config.pbtxt": b"of 2"}
    put(s3, CONFIG | version(1) | damaged)
    with pytest.raises(BucketError, match=r"rvm/2/model.pt in s3://models/of/production is damag"):
        bring(source)
    assert not source.model_repository.exists()

    remove(s3, *version(2))
    put(s3, CONFIG)
    bring(source)
    put(s3, damaged)
    bring(source)
    assert copied(source) == CONFIG | version(1)
    assert "is damaged" in caplog.text
    assert "is served as it is" in caplog.text


def test_a_bucket_that_is_away(
    s3: Any, moto_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(s3, CONFIG | version(1))
    with S3Front(moto_url) as front:
        source = make_source(front, tmp_path)
        bring(source)
    bring(source)
    assert copied(source) == CONFIG | version(1)
    assert "could not be reached" in caplog.text
    with pytest.raises(BucketError, match="could not be reached"):
        bring(make_source(front, tmp_path / "no copy"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"InvalidAccessKeyId", "credentials were refused"),
        (b"NoSuchBucket", "there is no such bucket"),
        (b"AccessDenied", r"refused it \(AccessDenied\)"),
    ],
)
def test_what_the_service_refuses(
    front: S3Front, source: BucketSource, answer: bytes, message: str
) -> None:
    body = b"<Error><Code>%s</Code><Message>the-secret</Message></Error>" % answer
    front.answers(faults.status(403, body=body))
    with pytest.raises(BucketError, match=message) as refused:
        bring(source)
    assert "the-" not in str(refused.value)


def test_an_empty_folder(source: BucketSource) -> None:
    with pytest.raises(BucketError, match="bring one there with: rvm-export push"):
        bring(source)


def test_a_transfer_that_breaks_off_is_repeated(
    s3: Any, front: S3Front, source: BucketSource
) -> None:
    files = CONFIG | version(1, b"m" * 100_000)
    put(s3, files)
    model = files["rvm/1/model.pt"]
    broken = faults.file(model, {"ETag": etag(s3, "rvm/1/model.pt")}, cut_after=1000)
    # The list, the manifest, then the model.
    front.answers(faults.usual(), faults.usual(), broken, faults.usual())
    bring(source)
    assert copied(source) == files
    assert len(front.requests) == 1 + len(files) + 1


def etag(s3: Any, name: str) -> str:
    return str(s3.head_object(Bucket="models", Key=f"{PREFIX}/{name}")["ETag"])


class Writing(S3Front):
    """Somebody pushes another version while we read: after the list, before the config."""

    def __init__(self, target_url: str, s3: Any, files: Files, times: int) -> None:
        super().__init__(target_url)
        self._s3, self._files, self._times = s3, files, times

    def answer(self, request: faults.Request) -> faults.Response:
        if request.path.partition("?")[0].endswith("config.pbtxt") and self._times:
            self._times -= 1
            put(self._s3, self._files | {"rvm/config.pbtxt": b"written %d" % self._times})
        return super().answer(request)


def test_a_push_meanwhile_is_read_as_a_whole(s3: Any, moto_url: str, tmp_path: Path) -> None:
    put(s3, CONFIG | version(1))
    with Writing(moto_url, s3, version(2), times=1) as front:
        source = make_source(front, tmp_path)
        bring(source)
    assert copied(source) == CONFIG | version(1) | version(2) | {"rvm/config.pbtxt": b"written 0"}


def test_a_bucket_that_never_stands_still(s3: Any, moto_url: str, tmp_path: Path) -> None:
    put(s3, CONFIG | version(1))
    with (
        Writing(moto_url, s3, {}, times=99) as front,
        pytest.raises(BucketChangedError, match="changed meanwhile"),
    ):
        bring(make_source(front, tmp_path))


def test_the_time_is_over_or_nobody_waits(
    s3: Any, source: BucketSource, caplog: pytest.LogCaptureFixture
) -> None:
    put(s3, CONFIG | version(1))
    with pytest.raises(BucketError, match="did not come in time"):
        bring(source, timeout_s=0)
    with pytest.raises(ServerStartError, match="was given up"):
        bring_up_to_date(source, lambda: True, 30)
    bring(source)
    put(s3, version(2))
    bring(source, timeout_s=0)
    assert copied(source) == CONFIG | version(1)
    assert "did not come in time" in caplog.text


def test_two_servers_that_start_at_once_share_the_work(
    s3: Any, front: S3Front, source: BucketSource
) -> None:
    put(s3, CONFIG | version(1, b"m" * 1_000_000))
    threads = [threading.Thread(target=bring, args=(source,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert copied(source) == CONFIG | version(1, b"m" * 1_000_000)
    assert len(fetched(front)) == len(CONFIG | version(1))


def test_a_server_that_looks_finds_each_version_whole(s3: Any, source: BucketSource) -> None:
    """While version 1, made one of many files, gives way to version 2."""
    put(s3, CONFIG | version(1))
    bring(source)
    for number in range(2000):
        (source.model_repository / "rvm/1" / f"file-{number}").touch()
    whole = {"1": 2002, "2": 2}
    ended, seen = threading.Event(), set()

    def look() -> None:
        while not ended.is_set():
            for folder in source.model_repository.glob("rvm/*[0-9]"):
                with contextlib.suppress(FileNotFoundError):
                    count = len([*folder.iterdir()])
                    # Where it went meanwhile, what was listed had another name by then.
                    if folder.is_dir():
                        seen.add((folder.name, count))

    put(s3, version(2))
    remove(s3, *version(1))
    looking = threading.Thread(target=look)
    looking.start()
    try:
        bring(source)
    finally:
        ended.set()
        looking.join()
    assert ("1", 2002) in seen
    assert seen <= {*whole.items()}
    assert copied(source) == CONFIG | version(2)


def test_settings_that_are_half_there(tmp_path: Path) -> None:
    settings = Settings(bucket_endpoint_url=SecretStr("https://host"), cache_dir=tmp_path)
    source = BucketSource.configured(BucketLocation("models", ""), settings)
    with pytest.raises(ConfigError, match="set BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY"):
        bring(source)


def test_keys_that_boto3_finds_itself(
    s3: Any, front: S3Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, CONFIG | version(1))
    monkeypatch.setenv("AWS_ENDPOINT_URL", front.base_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    location = BucketLocation("models", PREFIX)
    source = BucketSource.configured(location, Settings(cache_dir=tmp_path))
    bring(source)
    assert copied(source) == CONFIG | version(1)


def test_a_cache_that_cannot_be_written(s3: Any, front: S3Front, tmp_path: Path) -> None:
    put(s3, CONFIG | version(1))
    (tmp_path / "cache").touch()
    with pytest.raises(ServerStartError, match=r"cannot write the copy .* RVM_CACHE_DIR"):
        bring(make_source(front, tmp_path / "cache"))


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3://b",
        "s3:/models/x",
        "s3://http://host:9000/b/p",
        "s3://models/a/../b",
        "s3://Up/",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="write it as s3://BUCKET/PREFIX"):
        BucketLocation.parse(url)


def test_urls_that_are_some() -> None:
    assert BucketLocation.parse("s3://models") == BucketLocation("models", "")
    assert BucketLocation.parse("s3://models/") == BucketLocation("models", "")
    assert BucketLocation.parse("s3://models/a/b/") == BucketLocation("models", "a/b")
    assert str(BucketLocation("models", "a/b")) == "s3://models/a/b"


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are looked at; what whoever runs the tests has set does not count."""
    caplog.set_level(logging.WARNING, "rvm_client")
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)
