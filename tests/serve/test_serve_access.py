from contextlib import ExitStack

import pytest
from serve_cases import browser, send, stub_server, wait_for

from spinelift.serve.access import Rate, Session

TOKEN = "a" * 32


@pytest.fixture
def app(tmp_path, monkeypatch):
    app = stub_server(tmp_path, monkeypatch, hostnames=("spine.hospital.test",))
    yield app
    app.state.server.jobs.close()


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """A client of a server with a token."""
    with browser(stub_server(tmp_path, monkeypatch, token=TOKEN)) as client:
        yield client


def test_a_session_cannot_see_or_touch_what_another_one_sent(app):
    theirs = browser(app)
    with browser(app) as mine:
        job = wait_for(mine, send(mine).json())
        batch = send(mine, path="/v1/batches").json()
        theirs.get("/v1/predictions")
        assert theirs.cookies["spinelift_session"] != mine.cookies["spinelift_session"]
        addresses = [job["links"]["self"], job["links"]["archive"], *(file["url"] for file in job["files"])]
        for url in (*addresses, f"/v1/batches/{batch['id']}"):
            assert theirs.get(url).status_code == 404
        for url in (job["links"]["self"], f"/v1/batches/{batch['id']}"):
            assert theirs.delete(url).status_code == 404
        assert theirs.get("/v1/predictions").json() == []
        assert len(theirs.get("/v1/predictions.csv").text.splitlines()) == 1
        assert mine.get(job["links"]["self"]).json()["status"] == "done"


def test_a_session_is_a_cookie_that_scripts_cannot_read_or_a_header(app):
    program = browser(app)
    with browser(app) as client:
        first = send(client)
        cookie = first.headers["set-cookie"]
        assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/"))
        assert "Secure" not in cookie
        assert "set-cookie" not in client.get("/v1/predictions").headers
        secret = first.headers["spinelift-session"]
        listed = program.get("/v1/predictions", headers={"Spinelift-Session": secret})
        assert [job["id"] for job in listed.json()] == [first.json()["id"]]
        chosen = program.get("/v1/predictions", headers={"Spinelift-Session": "mine"})
        assert chosen.headers["spinelift-session"] != "mine"


def test_cookies_are_secure_under_https(app):
    client = browser(app)
    client.base_url = "https://localhost"
    assert "Secure" in client.get("/v1/predictions").headers["set-cookie"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8765", 200),
        ("127.0.0.1:8765", 200),
        ("[::1]:8765", 200),
        ("spine.hospital.test", 200),
        ("evil.test", 421),
        ("localhost.evil.test", 421),
        ("127.0.0.1.evil.test", 421),
        ("", 421),
    ],
)
def test_other_host_names_are_refused(app, host, status):
    """A page of another site whose name is made to lead to this machine (DNS rebinding)."""
    client = browser(app)
    assert client.get("/v1/predictions", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"origin": "http://localhost"}, 202),
        ({"origin": "http://localhost", "sec-fetch-site": "same-origin"}, 202),
        ({"origin": "http://evil.test"}, 403),
        ({"origin": "http://localhost:8000"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_requests_from_pages_of_other_sites_are_refused(app, headers, status):
    client = browser(app)
    reply = client.post("/v1/predictions", files={"file": ("a.zip", b"x")}, headers=headers)
    assert reply.status_code == status
    assert "access-control-allow-origin" not in reply.headers


def test_a_wrong_token_gets_nothing(guarded):
    urls = ("/v1/predictions", "/v1/predictions.csv", "/v1/server", "/metrics", "/openapi.json", "/v1/x")
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
        for url in urls[: 3 if headers else None]:
            reply = guarded.get(url, headers=headers)
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert send(guarded).status_code == 401
    assert guarded.get("/healthz").status_code == 200


def test_the_right_token_is_a_header_or_a_login(guarded):
    assert guarded.get("/v1/server", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert guarded.post("/v1/session", data={"token": "wrong"}).status_code == 401
    assert guarded.get("/v1/server").status_code == 401
    reply = guarded.post("/v1/session", data={"token": TOKEN})
    assert reply.status_code == 204
    assert TOKEN not in str(reply.headers)
    assert guarded.get("/v1/server").status_code == 200
    assert wait_for(guarded, send(guarded).json())["scan_id"] == "scan"
    login = guarded.cookies["spinelift_login"]
    del guarded.cookies["spinelift_session"]  # a login is of one session
    assert guarded.get("/v1/server", headers={"cookie": f"spinelift_login={login}"}).status_code == 401


def test_a_login_reads_no_more_than_a_form_whatever_its_type_says(guarded):
    """It is read into memory, and needs no token."""
    headers = {"content-type": "multipart/form-data; boundary=a"}
    assert guarded.post("/v1/session", content=b"x" * 70_000, headers=headers).status_code == 413


def test_guesses_of_the_token_are_bounded(guarded):
    codes = [guarded.post("/v1/session", data={"token": str(k)}).status_code for k in range(12)]
    assert codes == [401] * 10 + [429] * 2
    assert guarded.get("/v1/server", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 429


def test_uploads_of_one_address_are_bounded(tmp_path, monkeypatch):
    with browser(stub_server(tmp_path, monkeypatch, limits={"per_minute": 3})) as client:
        replies = [send(client) for _ in range(4)]
        assert [reply.status_code for reply in replies] == [202, 202, 202, 429]
        assert 1 <= int(replies[3].headers["retry-after"]) <= 20


def test_uploads_at_the_same_time_are_bounded(tmp_path, monkeypatch):
    with browser(stub_server(tmp_path, monkeypatch, limits={"uploads": 0})) as client:
        reply = send(client)
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")


def test_one_client_has_half_of_the_uploads_at_most(tmp_path, monkeypatch):
    app = stub_server(tmp_path, monkeypatch, limits={"uploads": 4})
    server, other = app.state.server, browser(app)
    with browser(app) as mine, ExitStack() as uploads:
        headers = {"Spinelift-Session": mine.get("/v1/predictions").headers["spinelift-session"]}
        mine.cookies.clear()
        for client in (Session(headers["Spinelift-Session"], is_new=False).owner, "testclient"):
            for _ in range(2):
                uploads.enter_context(server.upload(client))
            for kind in (headers, {}):  # a session, and the address of a client without one
                reply = mine.post("/v1/predictions", files={"file": ("a.zip", b"x")}, headers=kind)
                refused = client == "testclient" or kind == headers
                assert reply.status_code == (503 if refused else 202)
                assert ("retry-after" in reply.headers) == refused
                mine.cookies.clear()
        assert send(other).status_code == 503, "all are taken"
        uploads.close()
        assert send(other).status_code == 202
        assert not server._uploads


def test_a_rate_allows_as_many_as_it_says():
    now = [0.0]
    rate = Rate(6, clock=lambda: now[0])
    assert [rate.wait("a") for _ in range(7)] == [0] * 6 + [10]
    assert rate.wait("b") == 0
    now[0] += 10
    assert [rate.wait("a"), rate.wait("a")] == [0, 10]


def test_headers_keep_scripts_and_other_sites_out(app):
    with browser(app) as client:
        job = wait_for(client, send(client).json())
        api = client.get(job["links"]["self"]).headers
        assert api["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'; style-src 'self'"
        )
        assert "unsafe" not in api["content-security-policy"]
        assert (api["x-content-type-options"], api["referrer-policy"]) == ("nosniff", "no-referrer")
        assert api["cache-control"] == "no-store"
        page = client.get(f"{job['links']['self']}/files/spine.html").headers["content-security-policy"]
        assert page.startswith("sandbox allow-scripts allow-downloads; default-src 'none'")
        assert "allow-same-origin" not in page
        assert "connect-src" not in page
