"""How soon the page is there, and its first preview: `python -m bench.page [CLIP]`."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import requests

from bench.clips import write_clip

_HEIGHT, _WIDTH, _FRAMES = 720, 1280, 90
_WITHIN_S = 300.0


def main() -> None:
    """Start `rvm-web` with nothing there yet, and upload a clip as soon as it is open."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = Path(sys.argv[1]) if len(sys.argv) > 1 else _clip(folder)
        began_s = time.monotonic()
        command = [sys.executable, "-c", "from rvm_client.cli.web import web; web()"]
        command += ["--port", "0", "--state", str(folder / "state")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            for what, seconds in _seconds(url, clip, began_s).items():
                print(f"{what}: {seconds:.1f} s")
            process.terminate()


def _clip(folder: Path) -> Path:
    return write_clip(folder / "clip.mp4", _HEIGHT, _WIDTH, _FRAMES)


def _seconds(url: str, clip: Path, began_s: float) -> dict[str, float]:
    seconds = {}
    with requests.Session() as session:
        session.headers["X-RVM-Page"] = "1"
        session.get(url).raise_for_status()
        seconds["from rvm-web to the open page"] = time.monotonic() - began_s
        uploaded = _previewed(session, url, clip)
        seconds["to the first preview, with the start of Triton"] = time.monotonic() - began_s
        session.delete(f"{url}api/videos/{uploaded}").raise_for_status()
        began_s = time.monotonic()
        _previewed(session, url, clip)
        seconds["from the upload to its preview, once Triton is there"] = time.monotonic() - began_s
    return seconds


def _previewed(session: requests.Session, url: str, clip: Path) -> str:
    """Upload the clip, and wait for its preview; returns the video's id."""
    content = clip.read_bytes()
    body = {"name": clip.name, "bytes": len(content)}
    video = session.post(f"{url}api/videos", json=body).json()
    address = f"{url}api/videos/{video['id']}"
    session.put(f"{address}/source", data=content, headers={"Upload-Offset": "0"})
    _await(lambda: (session.get(address).json()["preview"] or {}).get("state") == "done")
    return str(video["id"])


def _await(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _WITHIN_S
    while not is_so():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"there is no preview after {_WITHIN_S:g} s")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
