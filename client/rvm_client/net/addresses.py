"""Which URLs and network addresses may be fetched on behalf of a stranger.

A URL in a job comes from outside. Without a guard it could make this machine talk to itself,
to its private network or to a cloud's metadata service. Two checks stand against that:

- `acceptable_url` looks at the text of a URL, and refuses what needs no look-up to refuse;
- `resolve` looks up a name and refuses it if any of its addresses is not public. The caller
  connects to what `resolve` returned, never to the name, so that a name which changes its
  address between the check and the connection gains nothing.

The ranges are those of IANA's registries of special-purpose addresses. They are listed here
instead of read from `ipaddress.is_global`, whose answer differs between Python versions.
"""

import re
import socket
import unicodedata
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urldefrag, urlsplit

from rvm_client.errors import UsageError

Address: TypeAlias = IPv4Address | IPv6Address
# One entry of `socket.getaddrinfo`: family, type, protocol, canonical name, socket address.
AddressInfo: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]

SCHEMES = ("http", "https")

_REFUSED_IPV4 = {
    IPv4Network("0.0.0.0/8"): "an unspecified",
    IPv4Network("10.0.0.0/8"): "a private",
    IPv4Network("100.64.0.0/10"): "a private (carrier-grade NAT)",
    IPv4Network("127.0.0.0/8"): "a loopback",
    IPv4Network("168.63.129.16/32"): "a cloud metadata",
    IPv4Network("169.254.0.0/16"): "a link-local",
    IPv4Network("172.16.0.0/12"): "a private",
    IPv4Network("192.0.0.0/24"): "a reserved",
    IPv4Network("192.0.2.0/24"): "a reserved",
    IPv4Network("192.31.196.0/24"): "a reserved",
    IPv4Network("192.52.193.0/24"): "a reserved",
    IPv4Network("192.88.99.0/24"): "a reserved",
    IPv4Network("192.168.0.0/16"): "a private",
    IPv4Network("192.175.48.0/24"): "a reserved",
    IPv4Network("198.18.0.0/15"): "a reserved",
    IPv4Network("198.51.100.0/24"): "a reserved",
    IPv4Network("203.0.113.0/24"): "a reserved",
    IPv4Network("224.0.0.0/4"): "a multicast",
    IPv4Network("240.0.0.0/4"): "a reserved",
}
_REFUSED_IPV6 = {
    IPv6Network("::/128"): "an unspecified",
    IPv6Network("::1/128"): "a loopback",
    IPv6Network("fc00::/7"): "a private",
    IPv6Network("fe80::/10"): "a link-local",
    IPv6Network("fec0::/10"): "a private",
    IPv6Network("ff00::/8"): "a multicast",
    # Teredo, ORCHID, benchmarking and other protocols; no site is hosted there.
    IPv6Network("2001::/23"): "a reserved",
    IPv6Network("2001:db8::/32"): "a reserved",
    IPv6Network("2002::/16"): "a reserved (6to4)",
    IPv6Network("2620:4f:8000::/48"): "a reserved",
    IPv6Network("3fff::/20"): "a reserved",
}
_GLOBAL_IPV6 = IPv6Network("2000::/3")
# The last 32 bits of these are an IPv4 address, which decides. NAT64 is how a machine that
# has only IPv6 reaches the public IPv4 internet, so the range as a whole cannot be refused.
_IPV4_IN_IPV6 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
# Bits 32 to 63 of an ISATAP address, RFC 5214: an IPv4 address follows.
_ISATAP_MARKS = (0x00005EFE, 0x02005EFE)

# What may be shown of a host and of a file's name. Longer ones are cut, and so is all that follows
# a character that has a meaning in URLs.
_HOST_IN_TEXT = re.compile(r"(?:[\w.-]{1,100}|\[[\da-fA-F:.]{2,45}\])(?::\d{1,5}(?!\d))?")
_NAME_IN_TEXT = re.compile(r"[\w.~ ()+-]{1,60}")


def refusal(address: Address) -> str | None:
    """The kind of address that `address` is, if it must not be connected to, else None."""
    if isinstance(address, IPv4Address):
        return next((kind for net, kind in _REFUSED_IPV4.items() if address in net), None)
    if any(address in network for network in _IPV4_IN_IPV6):
        return refusal(_last_32_bits(address))
    for network, kind in _REFUSED_IPV6.items():
        if address in network:
            return kind
    if address not in _GLOBAL_IPV6:
        return "a reserved"
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP_MARKS:
        return refusal(_last_32_bits(address))
    return None


def resolve(host: str, port: int, *, allow_private_addresses: bool = False) -> list[AddressInfo]:
    """Look up `host` and return what may be connected to, in the resolver's order.

    Raises:
        UsageError: one of the addresses is not public. One is enough: a name that points to
            the inside and the outside at once is a trick or a mistake.
        OSError: the name could not be resolved.
        UnicodeError: it cannot be a name at all.
    """
    found: Sequence[AddressInfo] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    if not allow_private_addresses:
        for _, _, _, _, sockaddr in found:
            _refuse_unless_public(host, ip_address(str(sockaddr[0]).partition("%")[0]))
    return list(found)


def acceptable_url(url: str, *, allow_private_addresses: bool = False) -> str:
    """The URL to fetch, without outer spaces and fragment. Nothing is looked up.

    Raises:
        UsageError: not http or https, no host, credentials in it, characters that programs
            read differently, or a host that is written as an address that is not public.
    """
    stripped = url.strip()
    parts = _split(stripped)
    if parts.scheme not in SCHEMES:
        given = f"{parts.scheme[:12]}:" if parts.scheme else "no scheme"
        raise UsageError(f"the URL must start with http:// or https://, got {given}")
    host = _host(parts)
    if not allow_private_addresses:
        _refuse_local_literal(host)
    return urldefrag(stripped).url


def redacted_url(url: str) -> str:
    """The host and the last name of the path, for a message: "cdn.example/.../clip.mp4".

    Anything else may be a signature or a token: the query, folders, what follows a semicolon.
    The text is read as loosely as others may read it: it need be no URL at all.
    """
    text = re.split(r"[?#;&=]", url.strip(), maxsplit=1)[0].replace("\\", "/")
    before, slashes, after = text.partition("//")
    place, _, path = (after if slashes else f"/{before}").partition("/")
    *folders, name = path.split("/")
    host = _HOST_IN_TEXT.match(place.rpartition("@")[2])
    shown = _NAME_IN_TEXT.match(name)
    where = [host[0]] if host else []
    where += ["..."] if any(folders) else []
    where += [shown[0]] if shown else []
    return "/".join(where) or "the URL"


def _split(url: str) -> SplitResult:
    if any(unicodedata.category(c) == "Cc" or c == "\\" for c in url):
        raise UsageError("the URL has control characters or backslashes; percent-encode them")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as exc:
        raise UsageError("the URL cannot be read; check its host and port") from exc
    return parts


def _host(parts: SplitResult) -> str:
    if "@" in parts.netloc:
        raise UsageError("the URL must not carry a user name or password; use a signed URL")
    host = parts.hostname
    if not host:
        raise UsageError("the URL has no host; write it as https://host/path")
    if any(c.isspace() or c in '%<>"^`{|}' for c in host):
        raise UsageError(f"the URL's host {_shown(host)!r} is not a host name")
    return host


def _refuse_local_literal(host: str) -> None:
    # What a resolver or IDNA reads as digits and dots: full-width forms, ideographic stops.
    name = unicodedata.normalize("NFKC", host).replace("\u3002", ".").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        raise _refused(host, "a loopback")
    address = _literal(name)
    if address is not None:
        _refuse_unless_public(host, address)


def _literal(name: str) -> Address | None:
    """The address that `name` spells; `inet_aton` reads octal, hex and short forms too."""
    try:
        return IPv6Address(name) if ":" in name else IPv4Address(socket.inet_aton(name))
    except (OSError, ValueError):
        return None


def _refuse_unless_public(host: str, address: Address) -> None:
    kind = refusal(address)
    if kind is not None:
        raise _refused(host, kind)


def _refused(host: str, kind: str) -> UsageError:
    # The address itself stays out of the message: it would tell a stranger about the inside.
    return UsageError(f"{_shown(host)!r} is {kind} address; only public addresses may be fetched")


def _shown(host: str) -> str:
    return redacted_url(f"//{host}")


def _last_32_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
