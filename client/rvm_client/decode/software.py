"""Decoding by software."""

from collections.abc import Iterator

import av
import av.error

from rvm_client.closing import Closing
from rvm_client.decode.stream import Source, SourceStream, VideoPacket
from rvm_client.machine import check_memory

# Reading goes on past broken parts of the container, but not for ever.
_MAX_READ_ERRORS = 16


class SoftwareDecoder(Closing):
    """Decodes many frames at once up to the first damage, or one at a time past all of it.

    Raises:
        InputError: as `SourceStream`.
    """

    def __init__(self, source: Source, *, one_at_a_time: bool = False) -> None:
        self._one_at_a_time = one_at_a_time
        self.stream = SourceStream(source, thread_type="SLICE" if one_at_a_time else "AUTO")
        self.damaged_packets = 0

    @property
    def name(self) -> str:
        """See Decoder."""
        return self.stream.decoder.name

    def close(self) -> None:
        """Close the file."""
        self.stream.close()

    def frames(self, near_pts: int | None) -> Iterator[av.VideoFrame]:
        """See Decoder.

        Raises:
            DamageError: there is some, and it decodes many frames at once.
        """
        self.damaged_packets = 0
        self.stream.begin(near_pts)
        return self._past_damage() if self._one_at_a_time else self.stream.frames()

    def _past_damage(self) -> Iterator[av.VideoFrame]:
        for packet in self._readable_packets():
            try:
                frames = self.stream.decoder.decode(packet)
            except MemoryError:
                # One of FFmpeg's errors, too, but no damage.
                raise
            except av.error.FFmpegError:
                check_memory()
                self.damaged_packets += 1
                continue
            yield from frames

    def _readable_packets(self) -> "Iterator[VideoPacket | None]":
        for _ in range(_MAX_READ_ERRORS):
            try:
                yield from self.stream.packets()
            except av.error.FFmpegError:
                check_memory()
                self.damaged_packets += 1
            else:
                return
        yield None
