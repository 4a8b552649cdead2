"""The model repository of a bucket as a folder of this machine, brought up to date before a start.

The copy changes only once all that is new has arrived and was checked: then versions are renamed
into it, the config follows, and what the bucket has no more goes. Where the bucket is away, or what
it has is damaged, the copy stays as it was, and is served.
"""

import fcntl
import hashlib
import json
import logging
import math
import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from rvm_client.config import BucketLocation, Settings
from rvm_client.errors import BucketChangedError, BucketError, ServerStartError

if TYPE_CHECKING:
    from rvm_client.s3 import S3Folder, StoredObject

_LOG = logging.getLogger(__name__)

_FOLDER = "repositories"
_MODELS = "models"
_STAGING = "staging"
_RECORD = "objects.json"
_CONFIG = "config.pbtxt"
_MANIFEST = "manifest.json"  # comes last: with it a version is whole
_MODEL = re.compile(r"model\.\w+")
# MODEL/config.pbtxt, MODEL/warmup/FILE, MODEL/VERSION/FILE; nothing hidden, nothing above.
_NAME = re.compile(
    r"(?P<model>\w[\w-]*)/(?P<top>config\.pbtxt|warmup/\w[\w.-]*|(?P<version>[1-9]\d*)/\w[\w.-]*)",
    re.ASCII,
)
# Whoever writes there while we read: so often is it tried anew.
_ATTEMPTS = 3
_POLL_S = 0.1

IsAbandoned = Callable[[], bool]


@dataclass(frozen=True)
class BucketSource:
    """Where a server's model repository comes from, and where its copy is."""

    location: BucketLocation
    open: Callable[[], "S3Folder"]
    folder: Path
    """Of the copy and what belongs to it."""

    @classmethod
    def configured(cls, location: BucketLocation, settings: Settings) -> "BucketSource":
        """As the environment says."""

        def open_folder() -> "S3Folder":
            # boto3 is for those who have a bucket.
            from rvm_client.s3 import S3Folder

            return S3Folder.configured(location, settings)

        endpoint = settings.bucket_endpoint_url
        service = endpoint.get_secret_value() if endpoint else ""
        digest = hashlib.sha256(f"{service} {location}".encode()).hexdigest()[:12]
        cache = settings.cache_dir or platformdirs.user_cache_path("rvm-triton")
        return cls(location, open_folder, cache / _FOLDER / f"{location.bucket}-{digest}")

    @property
    def model_repository(self) -> Path:
        """The copy, as Triton takes it."""
        return self.folder / _MODELS


def bring_up_to_date(
    source: BucketSource,
    is_abandoned: IsAbandoned = lambda: False,
    timeout_s: float = math.inf,
    *,
    needs_bucket: bool = False,
) -> None:
    """Make the copy what the bucket is, or warn that it is older.

    Args:
        source: bucket and copy.
        is_abandoned: whether nobody waits any more.
        timeout_s: after this the copy is taken as it is.
        needs_bucket: an older copy is not good enough.

    Raises:
        BucketError: the bucket cannot be read, and there is no copy that is good enough.
        ServerStartError: the copy cannot be written, or nobody waits any more.
        ConfigError: a setting or a package is missing.
    """
    ends_s = time.monotonic() + timeout_s

    def check() -> None:
        if is_abandoned():
            raise ServerStartError("the start of the Triton server was given up")
        if time.monotonic() > ends_s:
            raise BucketError(f"the model repository {source.location} did not come in time")

    try:
        with _locked(source.folder, check):
            _bring_up_to_date(source, check, needs_bucket)
    except OSError as exc:
        raise ServerStartError(
            f"cannot write the copy of {source.location} in {source.folder} ({exc.strerror}); name "
            "another folder in RVM_CACHE_DIR"
        ) from exc


def _bring_up_to_date(source: BucketSource, check: Callable[[], None], needs_bucket: bool) -> None:
    try:
        with source.open() as bucket:
            _copy(bucket, source.folder, check)
    except (BucketError, OSError) as exc:
        if needs_bucket or not (source.folder / _RECORD).is_file():
            raise
        _LOG.warning("%s; the copy in %s is served as it is", exc, source.model_repository)
    finally:
        shutil.rmtree(source.folder / _STAGING, ignore_errors=True)


def _copy(bucket: "S3Folder", folder: Path, check: Callable[[], None]) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            update = _Update(bucket, folder, check)
            update.fetch()
        except BucketChangedError:
            if attempt == _ATTEMPTS:
                raise
        else:
            update.apply()
            return


class _Update:
    """What is to be done to a copy: all of it is fetched first, and then put in its place."""

    def __init__(self, bucket: "S3Folder", folder: Path, check: Callable[[], None]) -> None:
        self._bucket = bucket
        self._check = check
        self._models = folder / _MODELS
        self._staging = folder / _STAGING
        self._record = folder / _RECORD
        self._objects = _served(bucket.list())
        if not self._objects:
            raise BucketError(
                f"{bucket.location} has no model with a config and a whole version; bring one "
                "there with: rvm-export push"
            )

    def fetch(self) -> None:
        """Get what is new, whole and checked, into the staging folder."""
        shutil.rmtree(self._staging, ignore_errors=True)
        known = self._known()
        for unit, names in self._units().items():
            if all(known.get(name) == _facts(self._objects[name]) for name in names):
                continue
            hashes = {}
            for name in names:
                target = self._staging / name
                target.parent.mkdir(parents=True, exist_ok=True)
                hashes[name] = self._bucket.fetch(name, self._objects[name], target, self._check)
            self._check_model(unit, hashes)

    def apply(self) -> None:
        """Put it in its place: a server that looks finds each version whole or not at all."""
        self._models.mkdir(parents=True, exist_ok=True)
        for model in sorted({name.partition("/")[0] for name in self._objects}):
            staged, target = self._staging / model, self._models / model
            if not target.exists():
                staged.rename(target)
            elif staged.exists():
                _merge(staged, target, self._staging / f"{model}.old")
        self._remove_others()
        temporary = self._record.with_suffix(".new")
        temporary.write_text(json.dumps({n: _facts(each) for n, each in self._objects.items()}))
        temporary.replace(self._record)

    def _known(self) -> dict[str, list[str | int]]:
        """The facts of what the copy has, as far as it is there."""
        try:
            record = json.loads(self._record.read_text())
            return {
                name: facts
                for name, facts in record.items()
                if (self._models / name).is_file()
                and (self._models / name).stat().st_size == facts[0]
            }
        except (OSError, ValueError, TypeError, AttributeError, LookupError):
            return {}

    def _units(self) -> dict[str, list[str]]:
        """The files that come together: those of a version; each other one by itself."""
        units = defaultdict(list)
        for name in sorted(self._objects):
            is_of_version = _version_of(name) is not None
            units[name.rpartition("/")[0] if is_of_version else name].append(name)
        return units

    def _check_model(self, version_folder: str, hashes: dict[str, str]) -> None:
        """Make sure that a version's model is the one that its manifest was written for."""
        manifest = f"{version_folder}/{_MANIFEST}"
        models = [name for name in hashes if _MODEL.fullmatch(name.rpartition("/")[2])]
        if not models:
            return
        try:
            expected = json.loads((self._staging / manifest).read_text())["model_sha256"]
        except (ValueError, TypeError, KeyError) as exc:
            raise BucketError(f"{manifest} in {self._bucket.location} is damaged") from exc
        for name in models:
            if hashes[name] != expected:
                raise BucketError(
                    f"{name} in {self._bucket.location} is damaged: it has the SHA-256 "
                    f"{hashes[name]}, but its manifest says {expected}; push the version again"
                )

    def _remove_others(self) -> None:
        """What the bucket has no more goes, versions and models as a whole."""
        kept = {*self._objects}
        for name in self._objects:
            kept.update(map(str, Path(name).parents))
        for path in [
            *self._models.glob("*"),
            *self._models.glob("*/*"),
            *self._models.glob("*/*/*"),
        ]:
            if str(path.relative_to(self._models)) not in kept and path.exists():
                _throw_away(path, self._staging)


def _served(listed: dict[str, "StoredObject"]) -> dict[str, "StoredObject"]:
    """The files of models that have a config and a version, and of versions that are whole."""
    known = {name: stored for name, stored in listed.items() if _NAME.fullmatch(name)}
    versions = {
        name.rpartition("/")[0]
        for name in known
        if _version_of(name) is not None and name.endswith(f"/{_MANIFEST}")
    }
    models = {folder.partition("/")[0] for folder in versions}
    models &= {name.partition("/")[0] for name in known if name.endswith(f"/{_CONFIG}")}
    return {
        name: stored
        for name, stored in known.items()
        if name.partition("/")[0] in models
        and (_version_of(name) is None or name.rpartition("/")[0] in versions)
    }


def _version_of(name: str) -> str | None:
    match = _NAME.fullmatch(name)
    return match["version"] if match else None


def _merge(staged: Path, target: Path, old: Path) -> None:
    """Move what was staged of a model into its folder: versions first, the config last."""
    parts = [path for path in staged.iterdir() if path.name != _CONFIG]
    for path in sorted(parts, key=lambda path: path.name == "warmup"):
        if path.name == "warmup":
            (target / path.name).mkdir(exist_ok=True)
            for file in path.iterdir():
                file.replace(target / path.name / file.name)
        else:
            if (target / path.name).exists():
                _throw_away(target / path.name, old)
            path.rename(target / path.name)
    if (staged / _CONFIG).exists():
        (staged / _CONFIG).replace(target / _CONFIG)


def _throw_away(path: Path, folder: Path) -> None:
    """Rename it into `folder`, which is removed at the end: nobody sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    path.rename(folder / f"{len([*folder.iterdir()])}.gone")


def _facts(stored: "StoredObject") -> list[str | int]:
    """What tells a file from an earlier one of its name."""
    return [stored.size_bytes, stored.etag]


@contextmanager
def _locked(folder: Path, check: Callable[[], None]) -> Iterator[None]:
    """One process at a time brings a copy up to date; the others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                check()
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)
