"""A folder in which a reader may stand, and the pages' commands run in one like it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image
from tests.docs.pages import ROOT, Block, blocks
from tests.support.clip_server import ClipServer
from tests.support.clips import index_frame, write_clip

# What the pages call a server of the reader's and a place on the web.
GRPC_URL = "127.0.0.1:8001"
WEB = "https://example.com"
# Variables of whoever runs the tests, which would change what the pages' commands do.
OF_THE_READER = ("CLOUDINARY_", "BUCKET_", "RUNPOD_", "RVM_")


@dataclass(frozen=True)
class PageRun:
    """What a page's commands did."""

    folder: Path
    status: int
    output: str


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages speak of: a clip of twelve seconds in few pixels, and a beach."""
    folder = tmp_path_factory.mktemp("samples")
    frames = [index_frame(i, 160, 96) for i in range(6)]
    write_clip(folder / "my_video.mp4", frames, rate=Fraction(1, 2))
    shutil.copy(folder / "my_video.mp4", folder / "other.mp4")
    Image.new("RGB", (300, 300), (40, 120, 220)).save(folder / "beach.jpg")
    return folder


@pytest.fixture(scope="session")
def real(samples: Path, triton_url: str) -> Iterator[Callable[[Block], str]]:
    """A block with a real server and a real place on the web for those that the page names."""
    with ClipServer(samples) as web:
        yield lambda block: block.text.replace(GRPC_URL, triton_url).replace(WEB, web.base_url)


@pytest.fixture(scope="session")
def run_page(
    samples: Path,
    real: Callable[[Block], str],
    triton_url: str,
    model_repository: Path,
    backend_cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Path], PageRun]:
    """Runs a page's commands in one shell, in a folder that looks like a checkout; once."""
    runs: dict[Path, PageRun] = {}
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(OF_THE_READER)},
        "PATH": f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}",
        "RVM_MODEL_REPOSITORY": str(model_repository),
        "RVM_CACHE_DIR": str(backend_cache),
        "RVM_TRITON_URL": triton_url,
        "RVM_ALLOW_PRIVATE_ADDRESSES": "true",
        **dict.fromkeys(("RVM_GRPC_PORT", "RVM_HTTP_PORT", "RVM_METRICS_PORT"), "0"),
    }

    def run(page: Path) -> PageRun:
        if page not in runs:
            folder = tmp_path_factory.mktemp(page.stem)
            shutil.copytree(samples, folder, dirs_exist_ok=True)
            (folder / "scripts").mkdir()
            shutil.copy(ROOT / "scripts" / "start", folder / "scripts")
            (folder / ".venv").symlink_to(sys.prefix)
            script = "".join(map(real, blocks(page, language="sh", mark=None)))
            done = subprocess.run(
                ["bash", "-euxo", "pipefail", "-c", script],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
            )
            runs[page] = PageRun(folder, done.returncode, done.stdout)
        return runs[page]

    return run
