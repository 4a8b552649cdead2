"""Which URLs and addresses are refused, in all the ways they can be written."""

import socket
from ipaddress import ip_address
from typing import Any

import pytest
from tests.support.inner_hosts import INNER_HOSTS
from tests.support.signed_urls import SIGNED_TEXTS

from rvm_client.errors import UsageError
from rvm_client.net import acceptable_url, redacted_url
from rvm_client.net.addresses import refusal, resolve

REFUSED = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.255",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fec0::1",
    "ff02::1", "2001:db8::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2002:7f00:1::",
    "2002:a9fe:a9fe::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
    "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8", "100::1", "3fff::1",
    "5f00::1", "4000::1", "2a00:1450::5efe:127.0.0.1", "2a00:1450::200:5efe:10.0.0.1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
    "11.0.0.0", "169.253.255.255", "198.17.255.255", "223.255.255.255",
    "2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
    "2a00:1450::5efe:8.8.8.8",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert refusal(ip_address(address)) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_not_refused(address: str) -> None:
    assert refusal(ip_address(address)) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_here_is_public_to_python_too(address: str) -> None:
    assert ip_address(address).is_global or "5efe" in address or address.startswith("64:")


@pytest.mark.parametrize("host", INNER_HOSTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_inner_addresses_are_refused_in_every_spelling(host: str, scheme: str) -> None:
    with pytest.raises(UsageError, match="only public addresses may be fetched"):
        acceptable_url(f"{scheme}://{host}:8080/clip.mp4?token=secret")


@pytest.mark.parametrize("host", INNER_HOSTS)
def test_a_private_network_may_be_allowed(host: str) -> None:
    url = f"http://{host}/clip.mp4"
    assert acceptable_url(url, allow_private_addresses=True) == url


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://example.com/clip.mp4", "must start with http:// or https://, got ftp:"),
        ("file:///etc/passwd", "got file:"),
        ("gopher://example.com/", "got gopher:"),
        ("example.com/clip.mp4", "got no scheme"),
        ("//example.com/clip.mp4", "got no scheme"),
        ("", "got no scheme"),
        ("https://", "no host"),
        ("https:///clip.mp4", "no host"),
        ("https://me:secret@example.com/", "user name or password"),
        ("https://secret@example.com/", "user name or password"),
        ("https://:@example.com/", "user name or password"),
        ("https://example.com:99999/", "cannot be read"),
        ("https://example.com:secret/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://exa mple.com/", "is not a host name"),
        ("https://127%2e0.0.1/", "is not a host name"),
        ("http://[fe80::1%25eth0]/", "is not a host name"),
        ("https://example.com\\@127.0.0.1/", "backslashes"),
        ("https://example.com/\r\nX-Injected: 1", "control characters"),
        ("https://example.com/a\tb", "control characters"),
    ],
)
def test_unusable_urls_are_refused_whatever_is_allowed(
    url: str, sentence: str, allowed: bool
) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        acceptable_url(url, allow_private_addresses=allowed)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "fetched"),
    [
        ("  https://example.com/a b.mp4?x=1#t=10 \n", "https://example.com/a b.mp4?x=1"),
        ("HTTPS://Example.COM:8443/", "HTTPS://Example.COM:8443/"),
        ("https://8.8.8.8/clip.mp4", "https://8.8.8.8/clip.mp4"),
        ("https://bücher.example/", "https://bücher.example/"),
        ("https://example.com/?mail=a@b.c", "https://example.com/?mail=a@b.c"),
        ("https://10.example.com/", "https://10.example.com/"),
    ],
)
def test_usable_urls_lose_only_outer_spaces_and_fragment(url: str, fetched: str) -> None:
    assert acceptable_url(url) == fetched


def _answer(*addresses: str) -> Any:
    def getaddrinfo(_: str, port: int, **__: Any) -> list[Any]:
        families = [socket.AF_INET6 if ":" in a else socket.AF_INET for a in addresses]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port))
            for family, address in zip(families, addresses, strict=True)
        ]

    return getaddrinfo


def test_one_inner_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _answer("8.8.8.8", "10.0.0.7"))
    with pytest.raises(UsageError, match=r"'cdn\.example' is a private address") as caught:
        resolve("cdn.example", 443)
    assert "10.0.0.7" not in str(caught.value)


def test_a_scope_does_not_hide_a_link_local_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _answer("fe80::1%eth0"))
    with pytest.raises(UsageError, match="link-local"):
        resolve("cdn.example", 443)


def test_public_addresses_are_returned_as_they_were_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _answer("2606:4700:4700::1111", "8.8.8.8"))
    found = [sockaddr[0] for *_, sockaddr in resolve("cdn.example", 443)]
    assert found == ["2606:4700:4700::1111", "8.8.8.8"]


def test_no_address_at_all_is_an_error_of_the_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _answer())
    with pytest.raises(socket.gaierror):
        resolve("cdn.example", 443)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://cdn.example:8443/a/b.mp4?sig=secret#x", "cdn.example:8443/.../b.mp4"),
        ("https://me:secret@cdn.example/b.mp4", "cdn.example/b.mp4"),
        ("https://[2001:db8::1]:80/b.mp4", "[2001:db8::1]:80/b.mp4"),
        ("https://bücher.example/a/", "bücher.example/..."),
        ("//cdn.example/b.mp4", "cdn.example/b.mp4"),
        ("cdn.example/b.mp4", ".../b.mp4"),
        ("https://[::1", "the URL"),
        ("", "the URL"),
    ],
)
def test_a_message_shows_the_host_and_the_last_name_only(url: str, shown: str) -> None:
    assert redacted_url(url) == shown


@pytest.mark.parametrize("text", SIGNED_TEXTS)
def test_a_secret_is_not_shown_however_it_is_written(text: str) -> None:
    assert "hidden" not in redacted_url(text)
    assert redacted_url(text).isprintable()
    with pytest.raises(UsageError) as refused:
        acceptable_url(text.replace("https", "ftp").replace(".example", "|example"))
    assert "hidden" not in str(refused.value)


def test_a_long_url_is_cut() -> None:
    assert len(redacted_url(f"https://{'h' * 500}/{'a' * 500}")) == 161
