"""The sound of the source, on its way into the output beside the picture."""

from rvm_client.sound.track import SoundTrack

__all__ = [
    "SoundTrack",
]
