"""An address of this machine by which it is to itself as any other machine is."""

import fcntl
import socket

import pytest

_SIOCGIFADDR = 0x8915


def own_address() -> str:
    """The first IPv4 address that is not loopback's; a test fails where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                request = name.encode().ljust(256, b"\0")
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue
            if answer[20] != 127:
                return socket.inet_ntoa(answer[20:24])
    pytest.fail("this machine has no address but loopback: ip link add dummy0 type dummy makes one")
