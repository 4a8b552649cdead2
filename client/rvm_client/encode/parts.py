"""A video in parts: each encoded on its own from a keyframe, and joined packet by packet.

A part is no media file: containers change times and leave out what belongs to a packet. It has a
line of JSON that says who encoded it, and for each packet a line of JSON and its bytes.
"""

import base64
import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import av
from av.packet import PacketSideData, PktSideDataT, packet_sidedata_type_from_literal

from rvm_client.encode.formats import VideoFormat
from rvm_client.encode.video_file import Sound, VideoFile
from rvm_client.errors import JoinError
from rvm_client.frames import VideoInfo
from rvm_client.machine import Hardware
from rvm_client.options import MatteOptions

# PyAV's types do not tell of the arguments: a type and a size.
_new_side_data = cast(Callable[[int, int], PacketSideData], PacketSideData)


class PartFile(VideoFile):
    """Encodes the pictures of one segment into a part; see OutputFile."""

    _log: IO[bytes] | None = None

    def _open(self) -> None:
        super()._open()
        self._log = self._partial.open("wb")

    def _mux(self, packets: "Iterable[av.Packet[av.VideoStream]]") -> None:
        assert self._log is not None
        for packet in packets:
            if not self._log.tell():
                self._log.write(_line(self._header()))
            _write(self._log, packet)

    def _header(self) -> dict[str, Any]:
        # It is open now: with its first packet it knows what goes into the container's head.
        extradata = self._stream.codec_context.extradata or b""
        return {"encoder": self.encoder, "extradata": base64.b64encode(extradata).decode()}

    def _finish(self) -> None:
        assert self._log is not None
        self._mux(self._last_packets())
        self._log.close()
        self._close()

    def _close(self) -> None:
        super()._close()
        if self._log is not None:
            self._log.close()


class JoinedFile(VideoFile):
    """Parts, in order, as the one file that an encoder of all pictures would have written.

    All is done in `finish`; `write` is not called.

    Args:
        parts: of one video, made with the same options.
        check: called before each packet; raises to stop.

    Raises:
        JoinError: the parts come from encoders that write other streams.
    """

    def __init__(
        self,
        path: Path,
        format_: VideoFormat,
        info: VideoInfo,
        options: MatteOptions,
        hardware: Hardware,
        parts: Sequence[Path],
        sound: Sound | None,
        check: Callable[[], None],
    ) -> None:
        super().__init__(path, format_, _no_picture, info, options, hardware, sound)
        self._parts = parts
        self._check = check

    def _open(self) -> None:
        headers = [_header_of(part) for part in self._parts]
        if any(header != headers[0] for header in headers[1:]):
            names = ", ".join(dict.fromkeys(str(header["encoder"]) for header in headers))
            raise JoinError(f"its segments were encoded in different ways ({names})")
        if headers[0]["encoder"] == self._format.codec:
            self._begin(self._format)
        elif not self._begins_on_gpu():
            raise JoinError(
                f"its segments were encoded by {headers[0]['encoder']}, which is not here"
            )
        context = self._stream.codec_context
        if not context.is_open:
            context.open()
        if base64.b64encode(context.extradata or b"").decode() != headers[0]["extradata"]:
            raise JoinError("its segments were encoded in another way than this machine encodes")
        if self._sound is not None:
            assert self._container is not None
            self._sound.add_to(self._container)

    def _last_packets(self) -> "Iterator[av.Packet[av.VideoStream]]":
        time_base = self._info.time_base
        frame_ticks = round(1 / (self._info.average_fps * time_base))
        for logged, dts in _with_decoding_times(self._logged()):
            self._check()
            self._end_pts = max(self._end_pts, logged.pts + frame_ticks)
            yield logged.packet(dts, self._stream)

    def _logged(self) -> "Iterator[_LoggedPacket]":
        for part in self._parts:
            yield from _read(part)


def _no_picture(_picture: object) -> av.VideoFrame:
    raise AssertionError("a joined file takes packets")


@dataclass(frozen=True)
class _LoggedPacket:
    pts: int
    dts: int
    duration: int
    is_keyframe: bool
    data: bytes
    side_data: dict[PktSideDataT, bytes]
    """Alpha, in a WebM."""

    def packet(self, dts: int, stream: av.video.stream.VideoStream) -> "av.Packet[av.VideoStream]":
        packet = cast("av.Packet[av.VideoStream]", av.Packet(self.data))
        packet.pts, packet.dts, packet.duration = self.pts, dts, self.duration
        packet.is_keyframe = self.is_keyframe
        packet.time_base = stream.codec_context.time_base
        for kind, data in self.side_data.items():
            side_data = _new_side_data(packet_sidedata_type_from_literal(kind), len(data))
            side_data.update(data)
            packet.set_sidedata(side_data)
        return packet


def _with_decoding_times(
    packets: Iterable[_LoggedPacket],
) -> Iterator[tuple[_LoggedPacket, int]]:
    """Packets with the decoding times that one encoder would have given them.

    An encoder that holds back N frames gives the packet n, for n >= N, the n - N-th of all
    presentation times. The first N are those of the first part.
    """
    waiting: list[int] = []
    delay, latest_pts = 0, None
    is_starting = True
    for packet in packets:
        latest_pts = packet.pts if latest_pts is None else latest_pts
        heapq.heappush(waiting, packet.pts)
        if is_starting and packet.dts < latest_pts:
            delay += 1
            yield packet, packet.dts
            continue
        is_starting = False
        yield packet, heapq.heappop(waiting)


def _write(log: IO[bytes], packet: "av.Packet[av.VideoStream]") -> None:
    side_data = {side.data_type: bytes(side) for side in packet.iter_sidedata()}
    data = bytes(packet)
    log.write(
        _line(
            {
                "pts": packet.pts,
                "dts": packet.dts,
                "duration": packet.duration,
                "key": packet.is_keyframe,
                "bytes": len(data),
                "side": {kind: len(content) for kind, content in side_data.items()},
            }
        )
    )
    log.write(data)
    for content in side_data.values():
        log.write(content)


def _read(part: Path) -> Iterator[_LoggedPacket]:
    with part.open("rb") as log:
        log.readline()
        while line := log.readline():
            facts = json.loads(line)
            yield _LoggedPacket(
                facts["pts"],
                facts["dts"],
                facts["duration"],
                facts["key"],
                log.read(facts["bytes"]),
                {kind: log.read(size) for kind, size in facts["side"].items()},
            )


def _header_of(part: Path) -> dict[str, Any]:
    with part.open("rb") as log:
        header: dict[str, Any] = json.loads(log.readline())
        return header


def _line(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts).encode() + b"\n"
