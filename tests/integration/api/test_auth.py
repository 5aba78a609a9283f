"""Authentication, cross-site protection and the bind check."""

import pytest
from pydantic import SecretStr

from callsheet.access.sessions import LIFETIME
from callsheet.api.bind_check import require_api_key_beyond_loopback
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import ConfigurationError

from .conftest import served

KEY = "0123456789abcdef-key"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
async def locked(settings, catalog):
    """A server with an API key and a small limit of bodies."""
    changed = settings.model_copy(update={"api_key": SecretStr(KEY), "max_body_bytes": 2000})
    async with served(changed, catalog) as api:
        yield api


@pytest.mark.parametrize("path", ["/api/executions", "/metrics", "/docs", "/openapi.json", "/", "/api/nowhere"])
async def test_every_path_needs_the_api_key(locked, path):
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {KEY}"},
        {"Cookie": "callsheet_session=x.y; z"},
    ):
        response = await locked.client.get(path, headers=headers)

        assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_health_checks_need_no_key(locked):
    for path in ("/health", "/healthz", "/readyz", "/static/console.css", "/login"):
        assert (await locked.client.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/api/webhooks/jobs", "/api/webhooks/job"])
async def test_webhooks_of_providers_need_a_token_and_no_key(locked, path):
    response = await locked.client.post(f"{path}/00000000-0000-0000-0000-000000000000", json={})

    assert (response.status_code, response.json()["code"]) == (401, "bad_webhook")


async def test_the_api_key_gives_access(locked):
    assert (await locked.client.get("/api/executions", headers=BEARER)).status_code == 200
    assert (await locked.client.get("/api/nowhere", headers=BEARER)).status_code == 404


async def test_a_browser_is_redirected_to_the_login_and_back(locked):
    page = {"Accept": "text/html"}

    sent = await locked.client.get("/executions/x?y=1", headers=page)
    wrong = await locked.client.post("/login", data={"key": "wrong", "next": "/"})
    right = await locked.client.post("/login", data={"key": KEY, "next": "/?before="})

    assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=/executions/x%3Fy%3D1")
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers
    assert (right.status_code, right.headers["location"]) == (303, "/?before=")
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


async def test_the_login_does_not_redirect_to_another_site(locked):
    for target in ("https://evil.example/", "//evil.example", "/\\evil.example", "evil"):
        response = await locked.client.post("/login", data={"key": KEY, "next": target})
        assert response.headers["location"] == "/"


async def test_a_session_reads_the_api_but_writes_only_through_the_forms_of_the_console(locked):
    execution_id = (
        await locked.client.post(
            "/api/executions", json={"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}}, headers=BEARER
        )
    ).json()["executionId"]
    await locked.client.post("/login", data={"key": KEY})

    read = await locked.client.get(f"/api/executions/{execution_id}")
    written = await locked.client.post(f"/api/executions/{execution_id}/cancel")
    without = await locked.client.post(f"/executions/{execution_id}/cancel", data={"token": "guessed"})
    page = (await locked.client.get(f"/executions/{execution_id}")).text
    token = page.partition('name="token" value="')[2].partition('"')[0]
    foreign = await locked.client.post(
        f"/executions/{execution_id}/cancel", data={"token": token}, headers={"Origin": "https://evil.example"}
    )
    proper = await locked.client.post(f"/executions/{execution_id}/cancel", data={"token": token})

    assert read.json()["status"] == "queued"
    assert [response.status_code for response in (written, without, foreign, proper)] == [401, 401, 403, 303]
    assert (await locked.client.get(f"/api/executions/{execution_id}")).json()["status"] == "cancelled"


async def test_logging_out_ends_the_session(locked):
    await locked.client.post("/login", data={"key": KEY})
    copied = {"Cookie": f"callsheet_session={locked.client.cookies['callsheet_session']}"}
    token = (await locked.client.get("/")).text.partition('name="token" value="')[2].partition('"')[0]
    assert (await locked.client.get("/api/executions", headers=copied)).status_code == 200

    assert (await locked.client.post("/logout", data={"token": token})).status_code == 303
    locked.client.cookies.clear()
    assert (await locked.client.get("/api/executions")).status_code == 401
    assert (await locked.client.get("/api/executions", headers=copied)).status_code == 401


async def test_a_forged_or_expired_session_gives_no_access(locked, monkeypatch):
    await locked.client.post("/login", data={"key": KEY})
    cookie = locked.client.cookies["callsheet_session"]
    locked.client.cookies.clear()
    own = {"Cookie": f"callsheet_session={cookie}"}
    assert (await locked.client.get("/api/executions", headers=own)).status_code == 200

    for value in (cookie[:-1], cookie + "x", "a.b.c", "."):
        response = await locked.client.get("/api/executions", headers={"Cookie": f"callsheet_session={value}"})
        assert response.status_code == 401
    monkeypatch.setattr("callsheet.access.directory.shared_now", lambda: shared_now() + LIFETIME)
    assert (await locked.client.get("/api/executions", headers=own)).status_code == 401


async def test_a_body_that_is_too_large_is_rejected_with_and_without_content_length(locked):
    async def chunks():
        for _ in range(30):
            yield b" " * 100

    headers = BEARER | {"Content-Type": "application/json"}
    for content in (b" " * 3000, chunks()):
        response = await locked.client.post("/api/executions", content=content, headers=headers)
        assert (response.status_code, response.json()["code"]) == (413, "too_large")
    response = await locked.client.patch("/api/queues/test", content=chunks(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


async def test_without_a_key_foreign_host_headers_are_rejected(api):
    for host in ("evil.example", "169.254.169.254", "127.0.0.1.evil.example", ""):
        response = await api.client.get("/api/executions", headers={"Host": host})
        assert (response.status_code, response.json()["code"]) == (403, "foreign_host")
    for host in ("localhost", "127.0.0.1:8500", "[::1]:8500"):
        assert (await api.client.get("/api/executions", headers={"Host": host})).status_code == 200


async def test_without_a_key_cross_site_writes_are_rejected(api):
    body = {"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}}

    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        response = await api.client.post("/api/executions", json=body, headers=headers)
        assert (response.status_code, response.json()["code"]) == (403, "cross_site")
    own = {"Origin": str(api.client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert (await api.client.post("/api/executions", json=body, headers=own)).status_code == 202


async def test_no_cors_headers_are_sent(api):
    response = await api.client.options(
        "/api/executions", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )

    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "studio.example", "localhost.evil.example"])
def test_listening_beyond_loopback_needs_an_api_key(settings, host):
    with pytest.raises(ConfigurationError, match="CALLSHEET_API_KEY"):
        require_api_key_beyond_loopback(settings.model_copy(update={"host": host}))

    require_api_key_beyond_loopback(settings.model_copy(update={"host": host, "api_key": SecretStr(KEY)}))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST."])
def test_listening_on_loopback_needs_no_api_key(settings, host):
    assert settings.api_key is None

    require_api_key_beyond_loopback(settings.model_copy(update={"host": host}))
