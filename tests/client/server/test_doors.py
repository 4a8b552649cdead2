"""Token files, certificates, and the file by which a user's own programs come in."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.certificates import Authority, self_signed_file
from tests.support.commands import invoke

from rvm_client import machine
from rvm_client.cli.serve import main as serve
from rvm_client.errors import ConfigError
from rvm_client.matte.endpoint import Credentials
from rvm_client.server.access import AccessKey, local_access, warn_of_strangers
from rvm_client.server.doors import Certificate, read_token
from rvm_client.server.options import ServerOptions

TOKEN = "0123456789abcdef"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


# --- token files


@pytest.mark.parametrize("text", [TOKEN, f"{TOKEN}\n", f"{TOKEN}\r\n", "aZ9._~+/-aZ9._~+/=="])
def test_a_token(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    assert read_token(tmp_path / "token") == text.rstrip()


@pytest.mark.parametrize(
    "text",
    ["", "\n", " " * 20, TOKEN[:-1], f"{TOKEN} {TOKEN}", f"{TOKEN}\n{TOKEN}", f" {TOKEN}",
     f"{TOKEN}\n\n", f"{TOKEN}:x", f"{TOKEN},x", f"={TOKEN}", f"{TOKEN}é", f"{TOKEN}\0",
     "a" * 1025],
)  # fmt: skip
def test_what_is_no_token(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(ConfigError, match="one line of 16 to 1024") as refused:
        read_token(tmp_path / "token")
    assert TOKEN[:-1] not in str(refused.value)


def test_a_token_that_no_header_carries() -> None:
    with pytest.raises(ConfigError, match="end of a line") as refused:
        Credentials(f"{TOKEN}\n")
    assert TOKEN not in str(refused.value)


# --- certificates


def test_names_of_certificates(tmp_path: Path, authority: Authority) -> None:
    for names, name in {
        ("a.example", "b.example"): "a.example",
        ("*.wild.example",): "any.wild.example",
        ("192.0.2.7",): "192.0.2.7",
    }.items():
        for file in (authority.server_file(*names), self_signed_file(tmp_path, *names)):
            assert Certificate.read(file, file) == Certificate(file, file, name)


def test_certificates_that_cannot_be_used(tmp_path: Path, authority: Authority) -> None:
    file = authority.server_file("a.example")
    other = authority.server_file("b.example")
    ended = authority.server_file("c.example", ended=True)
    nobody = authority.server_file()
    (tmp_path / "empty").touch()
    for certificate, key, message in (
        (tmp_path / "gone", file, "gone cannot be read"),
        (file, tmp_path / "gone", "gone cannot be read"),
        (file, other, "not a certificate and its key"),
        (file, authority.path, "not a certificate and its key"),
        (tmp_path / "empty", file, "not a certificate and its key"),
        (ended, ended, "certificate has expired"),
        (nobody, nobody, "no name or address"),
    ):
        with pytest.raises(ConfigError, match=message):
            Certificate.read(certificate, key)


def test_a_key_with_a_password_is_not_asked_for(tmp_path: Path, authority: Authority) -> None:
    file, locked = authority.server_file("a.example"), tmp_path / "locked.pem"
    command = ["openssl", "pkey", "-in", file, "-aes256", "-passout", "pass:x", "-out", locked]
    subprocess.run([*map(str, command)], check=True)
    with pytest.raises(ConfigError, match="which has no password"):
        Certificate.read(file, locked)


@pytest.mark.parametrize("content", [None, "no PEM"])
def test_authorities_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(ConfigError, match=r"ca\.pem cannot be read"):
        Credentials(tls=tmp_path / "ca.pem")


def test_the_command_says_what_is_wrong_before_it_starts(
    tmp_path: Path, authority: Authority
) -> None:
    file, other = authority.server_file("a.example"), authority.server_file("b.example")
    for flags, message in (
        (["--tls-certificate", file], "TLS needs a certificate and its key"),
        (["--tls-certificate", file, "--tls-key", other], "not a certificate and its key"),
        (["--token-file", tmp_path / "gone"], "gone cannot be read"),
    ):
        done = invoke(serve, *flags)
        assert done.exit_code == ConfigError.exit_code
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


# --- the file for a user's own programs


def test_the_file_is_for_the_addresses_of_its_server(tmp_path: Path) -> None:
    for host, mine, others in (
        ("0.0.0.0", ["127.0.0.1", "localhost"], ["192.0.2.7", "a.example"]),
        ("127.0.0.1", ["127.0.0.1", "localhost"], ["192.0.2.7"]),
        ("::", ["[::1]"], ["[2001:db8::1]"]),
        ("192.0.2.7", ["192.0.2.7"], ["127.0.0.1", "192.0.2.8"]),
    ):
        with AccessKey(ServerOptions(tmp_path, host=host, token=TOKEN), 4567):
            for client in mine:
                access = local_access(f"{client}:4567")
                assert access is not None
                assert TOKEN in access.headers.values()
                assert local_access(f"{client}:4568") is None
            assert not any(local_access(f"{client}:4567") for client in others)
        assert local_access(f"{mine[0]}:4567") is None


def test_the_file_of_a_killed_server_counts_for_nothing(tmp_path: Path) -> None:
    program = (
        "import os; from pathlib import Path\n"
        "from rvm_client.server.access import AccessKey, local_access\n"
        "from rvm_client.server.options import ServerOptions\n"
        "AccessKey.needed(ServerOptions(Path(), host='0.0.0.0'), 4567)\n"
        "key = AccessKey(ServerOptions(Path(), host='0.0.0.0'), 4567)\n"
        "assert local_access('127.0.0.1:4567')\n"
        "os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == -9
    (file,) = tmp_path.glob("rvm-triton-*/4567.key")
    assert file.stat().st_size
    assert local_access("127.0.0.1:4567") is None


# --- warnings


def test_what_others_may_do_is_said(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    file = authority.server_file("a.example")
    certificate = Certificate.read(file, file)
    for options, words in (
        (ServerOptions(tmp_path), []),
        (ServerOptions(tmp_path, token=TOKEN), []),
        (ServerOptions(tmp_path, host="0.0.0.0"), ["everybody who reaches 0.0.0.0"]),
        (ServerOptions(tmp_path, host="0.0.0.0", token=TOKEN), ["in plain text"]),
        (ServerOptions(tmp_path, host="0.0.0.0", token=TOKEN, certificate=certificate), []),
        (ServerOptions(tmp_path, http_host="0.0.0.0"), ["HTTP at 0.0.0.0 is not encrypted"]),
    ):
        caplog.clear()
        machine.say_once.cache_clear()
        with caplog.at_level(logging.WARNING):
            warn_of_strangers(options)
        assert len(caplog.messages) == len(words)
        assert all(word in said for word, said in zip(words, caplog.messages, strict=True))
        assert TOKEN not in caplog.text
