"""What a comparison leaves: files that are there whole, or not at all."""

from pathlib import Path

from rvm_export.errors import UsageError


def write_whole(path: Path, data: bytes, option: str) -> None:
    """Put `data` where a user has asked for it.

    Raises:
        UsageError: the file cannot be written; it names the option that asked for it.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as exc:
        raise UsageError(f"{option}: cannot write {path}: {exc.strerror}") from exc
