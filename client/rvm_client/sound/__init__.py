"""The sound of the source, on its way into the output beside the picture."""

from rvm_client.sound.file import FileSound, SoundInfo, SoundSource
from rvm_client.sound.packets import Cut, SoundPacket
from rvm_client.sound.track import SoundTrack

__all__ = [
    "Cut",
    "FileSound",
    "SoundInfo",
    "SoundPacket",
    "SoundSource",
    "SoundTrack",
]
