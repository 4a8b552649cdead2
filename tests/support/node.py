"""Packages from npm, and the Node.js client of examples/node in a folder where it can run."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from rvm_export.config import cache_folder

EXAMPLE = Path(__file__).parents[2] / "examples" / "node"
OLDEST = 20


def node_program() -> str:
    """The path of `node`; without it, or where it is too old, a failure that says so."""
    program, needed = shutil.which("node"), f"Node.js {OLDEST} or later with npm"
    if program is None or shutil.which("npm") is None:
        pytest.fail(f"the tests of examples/node need {needed}; install them")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    found = version.stdout.strip()
    if int(found.removeprefix("v").partition(".")[0]) < OLDEST:
        pytest.fail(f"the tests of examples/node need {needed}, not {found}")
    return program


def copy_example(folder: Path) -> Path:
    """The client with its packages, in a new folder; the checkout stays as it is."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(installed_packages(EXAMPLE))
    return folder


def installed_packages(folder: Path) -> Path:
    """The folder node_modules of its package-lock.json, kept in the cache for the next run."""
    lock = folder / "package-lock.json"
    key = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    home = cache_folder() / "test-node" / key
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".install-", dir=home.parent) as parent:
            made = Path(parent, key)
            made.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(folder / name, made)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
            try:
                made.rename(home)
            except OSError:
                # Another process was faster.
                assert home.exists()
    return home / "node_modules"
