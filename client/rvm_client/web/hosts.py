"""By which names this server may be called."""

import re
from collections.abc import Iterable
from ipaddress import ip_address

# Names that browsers themselves turn into this machine's own address.
_LOCAL_NAME = re.compile(r"(.+\.)?localhost\.?")
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^\[\]:/@\s]+)(?::\d{1,5})?")


def is_loopback_host(host: str) -> bool:
    """Whether nobody but this machine reaches what listens at `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_name(header: str) -> str | None:
    """The name in a Host header, in small letters and without its port; None: it is none."""
    match = _HOST.fullmatch(header)
    return match and match["name"].strip("[]").lower()


def is_allowed_host(header: str, allowed: Iterable[str], *, is_exposed: bool) -> bool:
    """Whether a browser may have called this server so.

    A site whose name is made to lead here (DNS rebinding) sends its own name. An address cannot
    be such a name.
    """
    name = host_name(header)
    if name is None:
        return False
    if _LOCAL_NAME.fullmatch(name) or name in {given.lower() for given in allowed}:
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return is_exposed or address.is_loopback
