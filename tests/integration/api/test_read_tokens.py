"""Read tokens of one execution, and requests of pages of other origins."""

from uuid import uuid4

import pytest
from pydantic import SecretStr

from callsheet.access import read_tokens
from callsheet.domain.clock import shared_now

from .conftest import messages_of, served

ADMIN = {"Authorization": "Bearer 0123456789abcdef-key"}
PRODUCT = "https://app.example.com"


@pytest.fixture
async def locked(settings, catalog):
    """A server with a key, which accepts the pages of a product, and a worker."""
    changed = {"api_key": SecretStr("0123456789abcdef-key"), "cors_origins": [PRODUCT]}
    async with served(settings.model_copy(update=changed), catalog) as api:
        await api.engine.start_worker()
        yield api


async def submit(api):
    plan = {"jobs": [{"id": "a", "operation": "write", "params": {"text": "hello"}}]}
    response = await api.client.post("/api/executions", json=plan, headers=ADMIN)
    assert response.status_code == 202, response.text
    return response.json()["executionId"]


async def token_for(api, execution_id, headers=ADMIN, **options):
    response = await api.client.post(f"/api/executions/{execution_id}/tokens", json=options or None, headers=headers)
    assert response.status_code == 201, response.text
    return {"Authorization": f"Bearer {response.json()['token']}"}


async def test_a_read_token_follows_one_execution_with_its_files(locked):
    execution_id = await submit(locked)
    token = await token_for(locked, execution_id, lifetime="5m")

    async with locked.client.stream("GET", f"/api/executions/{execution_id}/events", headers=token) as stream:
        events = [message.event async for message in messages_of(stream)]
    read = (await locked.client.get(f"/api/executions/{execution_id}", headers=token)).json()
    [artifact] = read["artifacts"]
    again = await locked.client.get(f"/api/artifacts/{artifact['artifactId']}", headers=token)

    assert events[-1] == "execution.succeeded"
    assert again.json()["sha256"] == artifact["sha256"]
    assert (await locked.client.get(again.json()["url"])).status_code == 200
    assert (await locked.client.get(f"/api/executions/{execution_id}/logs", headers=token)).status_code == 200


async def test_a_read_token_gives_access_to_nothing_else(locked):
    execution_id, other = await submit(locked), await submit(locked)
    await locked.event(other, "execution.succeeded")
    [artifact] = (await locked.client.get(f"/api/executions/{other}", headers=ADMIN)).json()["artifacts"]
    token = await token_for(locked, execution_id)

    for method, path in (
        ("GET", f"/api/executions/{other}"),
        ("GET", f"/api/executions/{other}/events"),
        ("GET", "/api/executions"),
        ("GET", "/api/queues"),
        ("POST", f"/api/executions/{execution_id}/cancel"),
        ("POST", f"/api/executions/{execution_id}/tokens"),
        ("POST", "/api/executions"),
    ):
        response = await locked.client.request(method, path, headers=token)
        assert (response.status_code, response.json()["code"]) == (403, "missing_scope"), path
    foreign = await locked.client.get(f"/api/artifacts/{artifact['artifactId']}", headers=token)
    assert foreign.status_code == 404


async def test_a_read_token_that_is_forged_expired_or_of_a_revoked_key_is_refused(locked, monkeypatch):
    execution_id = await submit(locked)
    path = f"/api/executions/{execution_id}"
    created = await locked.client.post("/api/keys", json={"name": "product"}, headers=ADMIN)
    own = {"Authorization": f"Bearer {created.json()['secret']}"}
    token = await token_for(locked, execution_id, own)
    assert (await locked.client.get(path, headers=token)).status_code == 200

    text = token["Authorization"]
    for forged in (text[:-2] + ("AA" if text[-2:] != "AA" else "BB"), "Bearer cst_", "Bearer cst_é", text + "A"):
        response = await locked.client.get(path, headers={"Authorization": forged.encode()})
        assert response.status_code == 401
    with monkeypatch.context() as patch:
        patch.setattr(read_tokens, "shared_now", lambda: shared_now() + read_tokens.MAX_LIFETIME)
        assert (await locked.client.get(path, headers=token)).status_code == 401
    await locked.client.delete(f"/api/keys/{created.json()['id']}", headers=ADMIN)
    assert (await locked.client.get(path, headers=token)).status_code == 401


async def test_a_read_token_of_a_user_ends_when_the_user_is_disabled(locked):
    execution_id = await submit(locked)
    user = {"name": "mia", "password": "correct horse battery", "scopes": ["read", "submit"]}
    assert (await locked.client.post("/api/users", json=user, headers=ADMIN)).status_code == 201
    assert (await locked.client.post("/login", data={"user": "mia", "password": user["password"]})).status_code == 303
    form = (await locked.client.get("/")).text.partition('name="token" value="')[2].partition('"')[0]
    token = await token_for(locked, execution_id, {"X-CSRF-Token": form})
    locked.client.cookies.clear()
    path = f"/api/executions/{execution_id}"
    assert (await locked.client.get(path, headers=token)).status_code == 200

    await locked.client.patch("/api/users/mia", json={"disabled": True}, headers=ADMIN)

    assert (await locked.client.get(path, headers=token)).status_code == 401


async def test_a_read_token_lives_a_day_at_most_and_needs_an_execution(locked):
    execution_id = await submit(locked)
    long = await locked.client.post(f"/api/executions/{execution_id}/tokens", json={"lifetime": "25h"}, headers=ADMIN)
    missing = await locked.client.post(f"/api/executions/{uuid4()}/tokens", headers=ADMIN)

    assert (long.status_code, long.json()["errors"][0]["path"]) == (422, "lifetime")
    assert missing.status_code == 404


async def test_only_pages_of_the_origins_in_the_settings_may_read_responses(locked):
    execution_id = await submit(locked)
    token = await token_for(locked, execution_id)
    asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,last-event-id"}
    path = f"/api/executions/{execution_id}"

    preflight = await locked.client.options(path, headers={"Origin": PRODUCT, **asks})
    allowed = await locked.client.get(path, headers={"Origin": PRODUCT, **token})
    refused = await locked.client.get(path, headers={"Origin": PRODUCT, "Authorization": "Bearer wrong"})
    foreign = await locked.client.get(path, headers={"Origin": "https://evil.example", **token})

    assert preflight.status_code == 200
    assert {"authorization", "last-event-id"} <= set(
        preflight.headers["access-control-allow-headers"].lower().split(", ")
    )
    for response in (preflight, allowed, refused):
        assert response.headers["access-control-allow-origin"] == PRODUCT
        assert "access-control-allow-credentials" not in response.headers
    assert refused.status_code == 401
    assert "access-control-allow-origin" not in foreign.headers
