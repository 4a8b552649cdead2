"""Frames in hand to mattes: for programs that call a server themselves, with no file between."""

from rvm_client.direct.async_session import AsyncMattingSession
from rvm_client.direct.matte import Matte
from rvm_client.direct.session import MattingSession

__all__ = ["AsyncMattingSession", "Matte", "MattingSession"]
