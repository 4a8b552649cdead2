"""From the newest frame to the picture that is shown."""

import io
import time
from collections.abc import Callable
from typing import Any

from PIL import Image

from rvm_client import MattingSession, ServerBusyError

from .background import Background
from .figures import Figures
from .page import Shown
from .slot import Frame, Slot, UInt8Array

_POLL_S = 0.2
_JPEG_QUALITY = 85


class Live:
    """Takes the newest frame, mattes it, shows it, and again."""

    def __init__(
        self, session: MattingSession, background: Background, send: Callable[[UInt8Array], None]
    ) -> None:
        self.slot, self.shown, self._figures = Slot(), Shown(), Figures()
        self._session = session
        self._background = background
        self._send = send

    def run(self, seconds: float | None) -> None:
        """Until the source ends, or for a time.

        Raises:
            ClickException: the source failed.
            ServerError: the server failed, or is gone for good.
        """
        ends_s = time.monotonic() + seconds if seconds else float("inf")
        while time.monotonic() < ends_s:
            try:
                frame = self.slot.take(_POLL_S)
            except EOFError:
                return
            if frame is not None:
                self.slot.done(is_matted=self._show(frame))

    def _show(self, frame: Frame) -> bool:
        """Whether the server took it."""
        try:
            matte = self._session.matte_frame(frame.picture)
        except ServerBusyError:
            return False
        picture = matte.over(self._background.fitting(frame.picture))
        self._send(picture)
        self.shown.show(_jpeg(picture))
        self._figures.note(frame.captured_s)
        return True

    def stats(self) -> dict[str, Any]:
        """What the page shows beside the picture."""
        return {
            **vars(self.slot.counts),
            **self._figures.read(),
            "server": self._session.server,
        }


def _jpeg(picture: UInt8Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()
