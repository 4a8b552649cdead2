"""Other sites, other names, other people: none gets what is not theirs."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from pydantic import SecretStr
from tests.support.web_page import RunningPage, Visitor, page_options

from rvm_client.errors import ConfigError
from rvm_client.web import PageOptions

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPage]:
    options = page_options(
        tmp_path_factory.mktemp("locked"),
        host="0.0.0.0",
        password=SecretStr(PASSWORD),
        allowed_hosts=("matting.example.org",),
    )
    with RunningPage(options) as running:
        yield running


# --- Names and sites.


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:7860", 200),
        ("localhost:7860", 200),
        ("me.localhost", 200),
        ("[::1]:7860", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example:7860", 421),
        ("192.168.1.5", 421),
        ("127.0.0.1@evil.example", 421),
        ("", 421),
    ],
)
def test_names_on_loopback(page: RunningPage, host: str, status: int) -> None:
    for path in ("/", "/static/index.html", "/api/settings"):
        answer = requests.get(page.url + path, headers={"Host": host}, timeout=10)
        assert answer.status_code == status, path
        assert "rvm_web" not in answer.cookies or status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("matting.example.org", 200), ("192.168.1.5:7860", 200), ("evil.example", 421)],
)
def test_names_of_an_exposed_page(locked: RunningPage, host: str, status: int) -> None:
    assert requests.get(locked.url, headers={"Host": host}, timeout=10).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-RVM-Page": ""},
    ],
    ids=str,
)
def test_other_sites_change_nothing(visitor: Visitor, headers: dict[str, str]) -> None:
    for method, path in [("POST", "/api/videos"), ("POST", "/api/forget"), ("PUT", "/api/x")]:
        status, _ = visitor.refused(method, path, json={"name": "x", "bytes": 1}, headers=headers)
        assert status == 403
    assert visitor.get("/api/videos") == {"videos": []}


def test_our_own_page_is_served(page: RunningPage, visitor: Visitor) -> None:
    own = {"Origin": page.url, "Sec-Fetch-Site": "same-origin"}
    answer = visitor.call("POST", "/api/videos", json={"name": "x", "bytes": 1}, headers=own)
    assert answer.status_code == 201
    # Behind a proxy that encrypts.
    cookie = f"rvm_web={visitor.session.cookies['rvm_web']}"
    proxied = {"Host": "localhost", "Origin": "https://localhost", "Cookie": cookie}
    assert visitor.call("POST", "/api/forget", headers=proxied).status_code == 204


def test_other_sites_read_nothing(visitor: Visitor) -> None:
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site}
        assert visitor.call("GET", "/api/videos", headers=headers).status_code == 403
        assert visitor.call("GET", "/", headers=headers).status_code == 200


def test_headers(page: RunningPage, visitor: Visitor) -> None:
    answer = requests.get(page.url, timeout=10)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert visitor.call("GET", "/api/videos").headers["Cache-Control"] == "no-store"
    encrypted = requests.get(page.url, headers={"X-Forwarded-Proto": "https"}, timeout=10)
    assert "Secure" in encrypted.headers["Set-Cookie"]


# --- Other sessions, and what is no path.


def test_another_session_finds_nothing(page: RunningPage, visitor: Visitor, clip: bytes) -> None:
    video = visitor.looked_at(clip)
    other = page.visitor()
    routes = [
        ("GET", f"/api/videos/{video['id']}"),
        ("DELETE", f"/api/videos/{video['id']}"),
        ("PUT", f"/api/videos/{video['id']}/source"),
        ("PUT", f"/api/videos/{video['id']}/background"),
        ("POST", f"/api/videos/{video['id']}/jobs"),
        ("POST", f"/api/videos/{video['id']}/estimate"),
        ("POST", f"/api/videos/{video['id']}/describe"),
        ("GET", video["source_url"]),
        ("GET", video["poster_url"]),
    ]
    made_up = [(method, path.replace(video["id"], "0" * 22)) for method, path in routes]
    body = {"fields": {}, "output_types": ["alpha"]}
    job = visitor.post(f"/api/videos/{video['id']}/jobs", body)
    routes.append(("DELETE", f"/api/jobs/{job['id']}"))
    made_up.append(("DELETE", "/api/jobs/" + "0" * 22))
    for theirs, none in zip(routes, made_up, strict=True):
        found = other.refused(*theirs, json=body)
        # What is another's looks like what is not there.
        assert found == visitor.refused(*none, json=body)
        assert found[0] == 404
    assert other.get("/api/videos") == {"videos": []}
    with other.listening() as events:
        visitor.post("/api/forget")
        mine = other.begin_upload(1)
        for kind, told in events:
            assert video["id"] not in str(told)
            if kind == "video":
                assert told["id"] == mine
                break


@pytest.mark.parametrize(
    "name",
    [
        "../page.sqlite3",
        "..%2f..%2fpage.sqlite3",
        "%2e%2e/page.sqlite3",
        "..%5cpage.sqlite3",
        "source%00",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "lock",
        ".",
        "source/../source",
    ],
)
def test_a_name_is_no_path(page: RunningPage, visitor: Visitor, name: str) -> None:
    video_id = visitor.begin_upload(10)
    visitor.put(video_id, b"part")
    cookies = visitor.session.cookies.get_dict()
    for start in (f"/files/{video_id}/", "/files/../", "/static/", "/static/../"):
        request = requests.Request("GET", page.url, cookies=cookies).prepare()
        # As it is, without what a client makes of it.
        request.url = page.url + start + name
        answer = requests.Session().send(request, timeout=10)
        assert answer.status_code in (404, 400), answer.text
        assert b"SQLite" not in answer.content


def test_a_name_from_outside_stays_a_name(page: RunningPage, visitor: Visitor, clip: bytes) -> None:
    name = '../../x"\r\nSet-Cookie: a=b/\x1b[31m\u202egpj.mp4'
    video = visitor.looked_at(clip, name)
    assert "/" not in video["name"]
    assert video["name"].isprintable()
    assert not [*page.options.state.parent.rglob("*gpj*")]
    answer = visitor.call("GET", video["source_url"] + "?download=1")
    assert answer.headers["Content-Disposition"].startswith("attachment; filename")
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; sandbox")


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"{", b"[]", b"\xff", b'{"name": "' + b"x" * 70_000]
)
def test_bodies_that_are_none(visitor: Visitor, body: bytes) -> None:
    status, _ = visitor.refused("POST", "/api/videos", data=body)
    assert status in (413, 422)


def test_no_session(page: RunningPage) -> None:
    stranger = Visitor(page.url)
    stranger.session.cookies["rvm_web"] = "made-up"
    for path in ("/api/videos", "/api/events", "/files/a/b", "/api/videos/a"):
        assert stranger.refused("GET", path)[0] == 401


# --- The password.


def test_a_password_comes_first(locked: RunningPage) -> None:
    visitor = locked.visitor()
    assert not visitor.session.cookies
    assert visitor.get("/api/settings")["needs_password"]
    assert visitor.refused("GET", "/api/videos")[0] == 401
    assert visitor.refused("POST", "/api/videos", json={"name": "x", "bytes": 1})[0] == 401
    assert visitor.refused("POST", "/api/login", json={"password": "wrong"})[0] == 401
    assert visitor.refused("POST", "/api/login", json={"password": None})[0] == 401
    visitor.post("/api/login", {"password": PASSWORD})
    assert not visitor.get("/api/settings")["needs_password"]
    assert visitor.get("/api/videos") == {"videos": []}


def test_guessing_is_slowed_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    options = page_options(tmp_path, password=SecretStr(PASSWORD))
    with RunningPage(options) as locked:
        visitor = Visitor(locked.url)
        tries = [
            visitor.call("POST", "/api/login", json={"password": f"guess {i}"}) for i in range(11)
        ]
        assert [answer.status_code for answer in tries] == [401] * 10 + [429]
        assert "Retry-After" in tries[-1].headers
        # Not even the right one, or the guesser would know.
        assert visitor.refused("POST", "/api/login", json={"password": PASSWORD})[0] == 429
    assert PASSWORD not in caplog.text
    assert "guess" not in caplog.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_no_page_for_others_without_a_password(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="there is no password"):
        page_options(tmp_path, host=host)
    options = page_options(tmp_path, host=host, password=SecretStr(PASSWORD))
    assert PASSWORD not in repr(options)


def test_a_short_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fewer than 8"):
        page_options(tmp_path, password=SecretStr("1234567"))


def test_sessions_are_bounded(tmp_path: Path) -> None:
    options = page_options(tmp_path)
    options = replace(options, limits=replace(options.limits, sessions=2))
    with RunningPage(options) as page:
        page.visitor(), page.visitor()
        assert requests.get(page.url, timeout=10).status_code == 503


def test_tokens_are_not_kept(page: RunningPage, visitor: Visitor) -> None:
    token = visitor.session.cookies["rvm_web"]
    assert isinstance(page.options, PageOptions)
    kept = b"".join(path.read_bytes() for path in page.options.state.glob("page.sqlite3*"))
    assert token.encode() not in kept
