"""The pages of access and of the audit log: keys, users, sessions, and who changed what."""

import html
import re

import pytest
from pydantic import SecretStr

from .conftest import served
from .test_console import page, token_in

ADMIN = {"Authorization": "Bearer 0123456789abcdef-key"}
NASTY = "<script>alert('x')</script>"


@pytest.fixture
async def locked(settings, catalog):
    """A server with a key in its settings; its client has signed in with it."""
    async with served(settings.model_copy(update={"api_key": SecretStr("0123456789abcdef-key")}), catalog) as api:
        assert (await api.client.post("/login", data={"key": "0123456789abcdef-key"})).status_code == 303
        yield api


async def send(api, path, **fields):
    token = token_in(await page(api, "/console/access"))
    return await api.client.post(f"/console/access/{path}", data={"token": token, **fields})


async def test_a_key_is_created_by_a_form_and_its_secret_is_shown_once(locked):
    limits = {"rate_limit": "600", "max_running": "2", "monthly_budget": "12.50", "expires": "2099-01-31"}
    created = await send(locked, "keys", name="storefront", **{"scope.read": "true", "scope.submit": "true"}, **limits)
    [secret] = re.findall(r"csk_[\w-]{20,}", created.text)
    used = await locked.client.get("/api/me", headers={"Authorization": f"Bearer {secret}"})
    [key] = (await locked.client.get("/api/keys", headers=ADMIN)).json()["keys"]

    assert (created.status_code, created.headers["cache-control"]) == (201, "no-store")
    assert used.json()["scopes"] == ["read", "submit"]
    assert (key["rateLimit"], key["maxRunning"], key["monthlyBudget"]) == (600, 2, 12.5)
    assert key["expiresAt"] == "2099-01-31T23:59:59Z"
    shown = await page(locked, "/console/access")
    assert secret not in shown
    assert f"{key['prefix']}…" in shown
    assert "of $ 12.50 spent this month" in shown


async def test_a_form_with_problems_creates_nothing_and_keeps_what_was_typed(locked):
    refused = await send(locked, "keys", name="storefront", rate_limit="0", expires="soon")
    without_scopes = await send(locked, "keys", name="storefront", rate_limit="0")
    user = await send(locked, "users", name="mia", password="too short", **{"scope.read": "true"})

    assert (refused.status_code, without_scopes.status_code, user.status_code) == (422, 422, 422)
    assert 'value="storefront"' in without_scopes.text
    assert [path in without_scopes.text for path in ("<code>rate_limit</code>", "<code>scopes</code>")] == [True, True]
    assert "too short" not in user.text
    assert (await locked.client.get("/api/keys", headers=ADMIN)).json()["keys"] == []
    assert (await locked.client.get("/api/users", headers=ADMIN)).json()["users"] == []


async def test_a_revoked_key_has_no_access_any_more(locked):
    created = await send(locked, "keys", name="old", **{"scope.read": "true"})
    [secret] = re.findall(r"csk_[\w-]{20,}", created.text)
    [key] = (await locked.client.get("/api/keys", headers=ADMIN)).json()["keys"]
    revoked = await send(locked, f"keys/{key['id']}/revoke")

    assert revoked.headers["location"] == "/console/access"
    assert (await locked.client.get("/api/me", headers={"Authorization": f"Bearer {secret}"})).status_code == 401
    assert "revoked" in await page(locked, "/console/access")


async def test_users_are_created_changed_disabled_and_deleted_by_forms(locked):
    async def user():
        [found] = (await locked.client.get("/api/users", headers=ADMIN)).json()["users"]
        return found

    await send(locked, "users", name="Mia", password="a long passphrase", **{"scope.read": "true"})
    taken = await send(locked, "users", name="mia", password="a long passphrase", **{"scope.read": "true"})
    assert (taken.status_code, (await user())["scopes"]) == (409, ["read"])

    await send(locked, "users/mia/change", **{"scope.read": "true", "scope.operate": "true"})
    assert (await user())["scopes"] == ["operate", "read"]
    await send(locked, "users/mia/disable")
    assert (await user())["disabledAt"] is not None
    await send(locked, "users/mia/enable")
    assert (await user())["disabledAt"] is None
    await send(locked, "users/mia/delete")
    assert (await locked.client.get("/api/users", headers=ADMIN)).json()["users"] == []
    assert (await send(locked, "users/mia/delete")).status_code == 404


async def test_a_session_is_ended_by_a_button(locked):
    shown = await page(locked, "/console/access")
    [session] = (await locked.client.get("/api/sessions", headers=ADMIN)).json()["sessions"]
    await send(locked, f"sessions/{session['id']}/end")

    assert "this session" in shown
    answer = await locked.client.get("/console/access", headers={"Accept": "text/html"})
    assert answer.headers["location"].startswith("/login")


async def test_the_forms_need_the_token_of_their_page(locked):
    for path in ("keys", "users", "users/mia/delete"):
        answer = await locked.client.post(f"/console/access/{path}", data={"name": "x", "scope.admin": "true"})
        assert answer.status_code == 401, path
    assert (await locked.client.get("/api/keys", headers=ADMIN)).json()["keys"] == []


async def test_the_audit_page_says_who_changed_what_and_can_be_filtered(locked):
    await send(locked, "keys", name=NASTY, **{"scope.read": "true"})
    [key] = (await locked.client.get("/api/keys", headers=ADMIN)).json()["keys"]
    everything = await page(locked, "/console/audit")
    filtered = await page(locked, "/console/audit?action=log_in&target=/login&since=2020-01-01T00:00")
    none = await page(locked, "/console/audit?target=/nowhere")

    assert f"/api/keys/{key['id']}" in everything
    assert "log_in" in everything
    assert f"/api/keys/{key['id']}" not in filtered
    assert "No entry matches." in none
    access = await page(locked, "/console/access")
    assert NASTY not in access
    assert NASTY in html.unescape(access)


async def test_the_audit_page_has_pages(locked):
    for _ in range(51):
        await locked.client.patch("/api/queues/test", json={"paused": False}, headers=ADMIN)
    first = await page(locked, "/console/audit?action=change_queue")
    [older] = re.findall(r'href="(\?[^"]+)">Older', first)
    second = await page(locked, f"/console/audit{html.unescape(older)}")

    assert first.count("/api/queues/test") == 50
    assert second.count("/api/queues/test") == 1
    assert ">Newest<" in second


async def test_only_persons_with_the_scope_see_the_links_and_the_pages(locked):
    await send(locked, "keys", name="reader", **{"scope.read": "true"})
    created = await send(locked, "keys", name="reader", **{"scope.read": "true", "scope.operate": "true"})
    [secret] = re.findall(r"csk_[\w-]{20,}", created.text)
    assert "/console/access" in await page(locked, "/executions")

    await locked.client.post("/login", data={"key": secret})
    assert "/console/access" not in await page(locked, "/executions")
    for path in ("/console/access", "/console/audit"):
        assert (await locked.client.get(path)).status_code == 403


async def test_on_an_open_server_the_page_says_what_the_first_key_changes(api):
    shown = await page(api, "/console/access")
    token = token_in(shown)
    created = await api.client.post(
        "/console/access/keys", data={"token": token, "name": "first", "scope.admin": "true"}
    )

    assert "give the first one the scope" in shown
    assert created.status_code == 201
    assert (await api.client.get("/api/me")).status_code == 401
