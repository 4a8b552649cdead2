"""Where files lie: a folder of each session, and in it one of each video."""

import shutil
from pathlib import Path

from rvm_client.web.records import Video

SOURCE_NAME = "source"


def background_name(background_id: str) -> str:
    """What a file is called that may stand behind the person."""
    return f"background-{background_id}"


class Folders:
    """The files' places. All parts of a path are ids of our own, never what a user said."""

    def __init__(self, state: Path) -> None:
        self.root = state / "files"
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make(self, video: Video) -> None:
        """Make the folder of a new video."""
        for folder in (self.of(video).parent, self.of(video)):
            folder.mkdir(mode=0o700, exist_ok=True)

    def of(self, video: Video) -> Path:
        """The folder of a video; gone once the video is removed."""
        return self.root / video.session / video.id

    def source(self, video: Video) -> Path:
        """The file as it came."""
        return self.of(video) / SOURCE_NAME

    def received_bytes(self, video: Video) -> int:
        """How much of the file is there."""
        try:
            return self.source(video).stat().st_size
        except FileNotFoundError:
            return 0

    def background(self, video: Video, background_id: str) -> Path:
        """What may stand behind the person."""
        return self.of(video) / background_name(background_id)

    def remove(self, video: Video) -> None:
        """Remove a video's files."""
        session = self.root / video.session
        shutil.rmtree(session / video.id, ignore_errors=True)
        if session.is_dir() and not any(session.iterdir()):
            session.rmdir()

    def sweep(self, videos: list[Video]) -> None:
        """Remove what belongs to no video."""
        known = {(video.session, video.id) for video in videos}
        for session in list(self.root.iterdir()):
            for folder in list(session.iterdir()):
                if (session.name, folder.name) not in known:
                    shutil.rmtree(folder, ignore_errors=True)
            if not any(session.iterdir()):
                session.rmdir()

    def free_bytes(self) -> int:
        """What the disk has left."""
        return shutil.disk_usage(self.root).free
