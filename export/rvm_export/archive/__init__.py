"""A version in one file, which travels from the machine that makes it to those that serve it."""

from rvm_export.archive.contents import archive_name
from rvm_export.archive.fetch import fetch_archive, is_url
from rvm_export.archive.importing import ImportOptions, Verify, import_archive
from rvm_export.archive.pack import pack

__all__ = [
    "ImportOptions",
    "Verify",
    "archive_name",
    "fetch_archive",
    "import_archive",
    "is_url",
    "pack",
]
