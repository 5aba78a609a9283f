"""Sign-in to the console: users, keys, sessions and the limits of failed logins."""

import asyncio

import pytest
from pydantic import SecretStr

from callsheet.access import passwords
from callsheet.access.login_limits import LoginLimits
from callsheet.access.passwords import hash_password, is_password
from callsheet.access.users import UserRequest
from callsheet.api.bind_check import require_api_key_beyond_loopback
from callsheet.domain.errors import ConfigurationError
from callsheet.settings import Settings

from .conftest import served

KEY = "0123456789abcdef-key"
ADMIN = {"Authorization": f"Bearer {KEY}"}
PASSWORD = "correct horse battery"


@pytest.fixture
async def locked(settings, catalog, monkeypatch):
    """A server with a key, and cheap hashes of passwords."""
    monkeypatch.setattr(passwords, "_MEMORY_KIB", 64)
    monkeypatch.setattr(passwords, "_ITERATIONS", 1)
    async with served(settings.model_copy(update={"api_key": SecretStr(KEY)}), catalog) as api:
        yield api


async def create_user(api, *scopes, name="mia"):
    body = {"name": name, "password": PASSWORD, "scopes": list(scopes)}
    response = await api.client.post("/api/users", json=body, headers=ADMIN)
    assert response.status_code == 201, response.text
    return response.json()


async def log_in(api, **fields):
    """Send the login form; return the response. The client keeps the cookie."""
    api.client.cookies.clear()
    return await api.client.post("/login", data=fields)


async def token_of_forms(api):
    return (await api.client.get("/")).text.partition('name="token" value="')[2].partition('"')[0]


async def test_a_user_who_may_only_read_sees_the_console_and_changes_nothing(locked):
    await create_user(locked, "read")
    plan = {"jobs": [{"id": "a", "operation": "noop"}]}
    execution_id = (await locked.client.post("/api/executions", json=plan, headers=ADMIN)).json()["executionId"]

    assert (await log_in(locked, user="MIA", password=PASSWORD)).status_code == 303
    token = await token_of_forms(locked)
    page = await locked.client.get(f"/executions/{execution_id}")
    cancelled = await locked.client.post(f"/executions/{execution_id}/cancel", data={"token": token})
    keys = await locked.client.get("/api/keys")

    assert page.status_code == 200
    assert (cancelled.status_code, keys.status_code) == (403, 403)
    assert (await locked.client.get("/api/me")).json()["name"] == "mia"


async def test_the_password_is_stored_as_a_slow_hash_and_never_returned(locked):
    await create_user(locked, "read")
    users = (await locked.client.get("/api/users", headers=ADMIN)).text
    async with locked.runtime.database.connection() as connection:
        stored = await connection.fetchval("SELECT password FROM users")

    assert stored.startswith("$argon2id$")
    assert "password" not in users
    assert PASSWORD not in repr(UserRequest(name="mia", password=PASSWORD))


def test_a_hash_verifies_its_password_only():
    stored = hash_password(PASSWORD)

    assert "m=19456,t=2,p=1" in stored
    assert is_password(PASSWORD, stored)
    assert not is_password(PASSWORD + "x", stored)
    assert not is_password(PASSWORD, passwords.UNMATCHED_HASH)


async def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(locked):
    await create_user(locked, "read")

    wrong = await log_in(locked, user="mia", password="wrong password")
    unknown = await log_in(locked, user="\0noone", password=PASSWORD)

    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert wrong.text == unknown.text
    assert "set-cookie" not in wrong.headers


async def test_failed_logins_of_a_user_are_limited_and_others_may_log_in(locked):
    await create_user(locked, "read")
    for _ in range(10):
        assert (await log_in(locked, user="mia", password="wrong password")).status_code == 401

    refused = await log_in(locked, user="mia", password=PASSWORD)

    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 60
    assert (await log_in(locked, key=KEY)).status_code == 303


async def test_logins_that_are_sent_at_the_same_time_are_limited_too(locked):
    await create_user(locked, "read")
    locked.client.cookies.clear()
    wrong = {"user": "mia", "password": "wrong password"}

    responses = await asyncio.gather(*(locked.client.post("/login", data=wrong) for _ in range(40)))

    checked = [response for response in responses if response.status_code == 401]
    assert 10 <= len(checked) <= 11
    assert {response.status_code for response in responses} == {401, 429}


def test_failed_logins_of_an_address_are_limited():
    limits = LoginLimits()
    for number in range(30):
        assert limits.wait(address="192.0.2.7", user=f"user-{number}") is None
        limits.failed(address="192.0.2.7", user=f"user-{number}")

    assert limits.wait(address="192.0.2.7", user="another") > 0
    assert limits.wait(address="192.0.2.8", user="another") is None


async def test_an_admin_lists_and_ends_sessions(locked):
    await create_user(locked, "read")
    await log_in(locked, user="mia", password=PASSWORD)
    assert (await locked.client.get("/api/executions")).status_code == 200

    [session] = (await locked.client.get("/api/sessions", headers=ADMIN)).json()["sessions"]
    ended = await locked.client.delete(f"/api/sessions/{session['id']}", headers=ADMIN)

    assert (session["name"], session["address"]) == ("mia", "127.0.0.1")
    assert ended.status_code == 204
    assert (await locked.client.get("/api/executions")).status_code == 401
    assert (await locked.client.delete(f"/api/sessions/{session['id']}", headers=ADMIN)).status_code == 404


@pytest.mark.parametrize("change", [{"password": "another password"}, {"disabled": True}])
async def test_a_new_password_or_a_disabled_user_ends_the_sessions(locked, change):
    await create_user(locked, "read")
    await log_in(locked, user="mia", password=PASSWORD)

    changed = await locked.client.patch("/api/users/mia", json=change, headers=ADMIN)

    assert changed.status_code == 200
    assert (await locked.client.get("/api/executions")).status_code == 401
    assert (await log_in(locked, user="mia", password=PASSWORD)).status_code == 401


async def test_a_session_of_a_key_ends_with_the_key(locked):
    created = await locked.client.post("/api/keys", json={"name": "ops", "scopes": ["read"]}, headers=ADMIN)
    assert (await log_in(locked, key=created.json()["secret"])).status_code == 303
    assert (await locked.client.get("/api/me")).json()["name"] == "ops"

    await locked.client.delete(f"/api/keys/{created.json()['id']}", headers=ADMIN)

    assert (await locked.client.get("/api/me")).status_code == 401


async def test_a_session_writes_to_the_api_with_the_token_of_its_forms_only(locked):
    await create_user(locked, "submit", "read")
    await log_in(locked, user="mia", password=PASSWORD)
    token = await token_of_forms(locked)
    plan = {"jobs": [{"id": "a", "operation": "noop"}]}

    without = await locked.client.post("/api/executions", json=plan)
    forged = await locked.client.post("/api/executions", json=plan, headers={"X-CSRF-Token": token[::-1]})
    proper = await locked.client.post("/api/executions", json=plan, headers={"X-CSRF-Token": token})

    assert [each.status_code for each in (without, forged, proper)] == [401, 401, 202]


async def test_problems_of_users_are_reported(locked):
    await create_user(locked, "read")

    bad = await locked.client.post("/api/users", json={"name": "-", "password": "short"}, headers=ADMIN)
    again = await locked.client.post("/api/users", json={"name": "Mia", "password": PASSWORD}, headers=ADMIN)

    assert {error["path"] for error in bad.json()["errors"]} == {"name", "password"}
    assert again.status_code == 409
    assert (await locked.client.delete("/api/users/mia", headers=ADMIN)).status_code == 204
    assert (await locked.client.patch("/api/users/mia", json={"disabled": True}, headers=ADMIN)).status_code == 404


async def test_the_user_of_the_settings_operates_and_manages_no_access(served_with):
    changed = {"api_key": SecretStr(KEY), "console_user": "admin", "console_password": SecretStr("changeme")}
    async with served_with(**changed) as api:
        assert (await log_in(api, user="admin", password="changeme!")).status_code == 401
        assert (await log_in(api, user="admin", password="changeme")).status_code == 303
        assert (await api.client.get("/api/me")).json()["scopes"] == ["operate", "read", "submit"]
        assert (await api.client.get("/api/keys")).status_code == 403


@pytest.mark.parametrize("prefix", ["WORKER_BULL_BOARD", "BULL_BOARD", "FLOWER"])
def test_the_logins_of_other_dashboards_are_read(monkeypatch, prefix):
    monkeypatch.setenv(f"{prefix}_USER", "admin")
    monkeypatch.setenv(f"{prefix}_PASSWORD", "changeme")
    settings = Settings(_env_file=None, api_key=SecretStr(KEY), host="0.0.0.0")

    assert settings.console_user == "admin"
    with pytest.raises(ConfigurationError, match="changeme"):
        require_api_key_beyond_loopback(settings)
    require_api_key_beyond_loopback(settings.model_copy(update={"host": "127.0.0.1"}))


async def test_metrics_can_be_served_without_a_key(served_with):
    async with served_with(api_key=SecretStr(KEY), metrics_open=True) as api:
        assert (await api.client.get("/metrics")).status_code == 200
        assert (await api.client.get("/api/queues")).status_code == 401
