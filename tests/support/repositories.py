"""Model repositories for tests."""

import os
import re
from pathlib import Path

_WARM_UP = re.compile(r"^model_warmup \[.*?^\]\n", re.MULTILINE | re.DOTALL)


def without_warm_up(config: Path) -> None:
    """Let a server load a model without the 1080p frames of its config: sooner, and in less memory.

    That a server takes them is seen where a test exports a model, as a user would.
    """
    text = config.read_text()
    if (shorter := cut_warm_up(text)) != text:
        changed = config.with_name(f".{config.name}.{os.getpid()}")
        changed.write_text(shorter)
        changed.replace(config)


def cut_warm_up(text: str) -> str:
    """A config's text without its warm-up."""
    return _WARM_UP.sub("", text)
