"""API keys: their life, their limits, and what servers notice of them."""

from uuid import UUID

import pytest
from pydantic import SecretStr

from callsheet.access import directory
from callsheet.engine.jobs.places import give_places
from callsheet.testing.waiters import until

from .conftest import free_port, served

ADMIN = {"Authorization": "Bearer 0123456789abcdef-key"}


@pytest.fixture
def locked_settings(settings):
    return settings.model_copy(update={"api_key": SecretStr("0123456789abcdef-key")})


@pytest.fixture
async def locked(locked_settings, catalog):
    """A server whose settings have a key."""
    async with served(locked_settings, catalog) as api:
        yield api


async def create(api, **fields):
    """Create a key; return it and its header."""
    response = await api.client.post("/api/keys", json={"name": "storefront", **fields}, headers=ADMIN)
    assert response.status_code == 201, response.text
    return response.json(), {"Authorization": f"Bearer {response.json()['secret']}"}


async def submit(api, headers, **params):
    plan = {"jobs": [{"id": "a", "operation": "noop", "params": params}]}
    response = await api.client.post("/api/executions", json=plan, headers=headers)
    assert response.status_code == 202, response.text
    return response.json()["executionId"]


async def test_a_key_is_shown_once_and_never_stored(locked):
    key, _ = await create(locked, scopes=["read"], maxRunning=3, monthlyBudget=12.5)
    [listed] = (await locked.client.get("/api/keys", headers=ADMIN)).json()["keys"]
    async with locked.runtime.database.connection() as connection:
        row = dict(await connection.fetchrow("SELECT * FROM api_keys"))

    assert key["secret"].startswith(key["prefix"])
    assert len(key["prefix"]) < len(key["secret"]) / 3
    assert listed == {name: value for name, value in key.items() if name != "secret"}
    assert (listed["maxRunning"], listed["monthlyBudget"], listed["createdBy"]) == (3, 12.5, "CALLSHEET_API_KEY")
    assert key["secret"] not in str(row)


async def test_all_problems_of_a_key_are_reported(locked):
    body = {"name": "", "scopes": ["write"], "rateLimit": 0, "expiresAt": "soon"}

    response = await locked.client.post("/api/keys", json=body, headers=ADMIN)
    past = await locked.client.post("/api/keys", json={"name": "x", "expiresAt": "2020-01-01T00:00:00Z"}, headers=ADMIN)

    assert response.status_code == past.status_code == 422
    assert {error["path"] for error in response.json()["errors"]} == {"name", "scopes[0]", "rateLimit", "expiresAt"}
    assert past.json()["errors"][0]["path"] == "expiresAt"


async def test_a_revoked_key_is_refused_by_all_servers_within_seconds(locked, locked_settings, catalog):
    async with served(locked_settings.model_copy(update={"port": free_port()}), catalog) as other:
        key, headers = await create(locked)
        assert (await other.client.get("/api/executions", headers=headers)).status_code in (200, 401)
        await until(lambda: _answers(other, headers, 200), timeout=5)

        assert (await locked.client.delete(f"/api/keys/{key['id']}", headers=ADMIN)).status_code == 204

        assert (await locked.client.get("/api/executions", headers=headers)).status_code == 401
        await until(lambda: _answers(other, headers, 401), timeout=5)
    read = (await locked.client.get(f"/api/keys/{key['id']}", headers=ADMIN)).json()
    assert read["revokedAt"] is not None
    assert (await locked.client.delete(f"/api/keys/{UUID(int=1)}", headers=ADMIN)).status_code == 404


async def _answers(api, headers, status):
    return (await api.client.get("/api/executions", headers=headers)).status_code == status


async def test_the_last_use_of_a_key_is_stored(locked):
    key, headers = await create(locked)
    await locked.client.get("/api/executions", headers=headers)

    async def is_stored():
        read = await locked.client.get(f"/api/keys/{key['id']}", headers=ADMIN)
        return read.json()["lastUsedAt"]

    assert await until(is_stored, timeout=5) >= key["createdAt"]


async def test_a_request_with_a_key_costs_no_query(locked, monkeypatch):
    _, headers = await create(locked)
    monkeypatch.setattr(directory, "_FRESH_SECONDS", 3600)
    assert (await locked.client.get("/api/me", headers=headers)).status_code == 200
    monkeypatch.setattr(directory.Directory, "_read", None)

    me = (await locked.client.get("/api/me", headers=headers)).json()

    assert (me["kind"], me["name"], me["scopes"]) == ("key", "storefront", ["read", "submit"])


async def test_a_key_above_its_rate_gets_429_and_others_do_not(locked):
    _, slow = await create(locked, rateLimit=6)
    _, other = await create(locked, rateLimit=6)

    first = await locked.client.get("/api/executions", headers=slow)
    second = await locked.client.get("/api/executions", headers=slow)

    assert first.status_code == 200
    assert (second.status_code, second.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(second.headers["retry-after"]) <= 10
    assert (await locked.client.get("/api/executions", headers=other)).status_code == 200


async def test_a_session_of_a_key_has_the_rate_of_the_key(locked):
    _, slow = await create(locked, rateLimit=6)
    await locked.client.post("/login", data={"key": slow["Authorization"].removeprefix("Bearer ")})

    first = await locked.client.get("/api/executions")
    second = await locked.client.get("/api/executions")

    assert (first.status_code, second.status_code) == (200, 429)


async def test_the_first_key_ends_the_access_without_one(api):
    created = await api.client.post("/api/keys", json={"name": "first", "scopes": ["admin"]})
    headers = {"Authorization": f"Bearer {created.json()['secret']}"}

    assert (await api.client.get("/api/executions")).status_code == 401
    assert (await api.client.get("/api/executions", headers=headers)).status_code == 200
    await api.client.delete(f"/api/keys/{created.json()['id']}", headers=headers)
    assert (await api.client.get("/api/executions")).status_code == 401


async def test_at_its_limit_an_execution_of_a_key_waits_for_a_place_and_says_so(locked):
    _, headers = await create(locked, maxRunning=1)
    first, second = await submit(locked, headers), await submit(locked, headers)

    jobs = (await locked.client.get(f"/api/executions/{second}", headers=ADMIN)).json()["jobs"]

    assert (jobs[0]["status"], jobs[0]["waitReason"]["code"]) == ("pending", "key_limit")
    await locked.client.post(f"/api/executions/{first}/cancel", headers=headers)
    await locked.engine.start_worker()
    await locked.engine.ended(UUID(second))
    read = (await locked.client.get(f"/api/executions/{second}", headers=ADMIN)).json()
    assert read["status"] == "succeeded"


async def test_an_execution_that_is_cancelled_while_it_waits_takes_no_place(locked):
    _, headers = await create(locked, maxRunning=1)
    first, second, third = [await submit(locked, headers) for _ in range(3)]
    assert (await locked.client.post(f"/api/executions/{second}/cancel", headers=headers)).json()["status"] == (
        "cancelled"
    )

    await locked.client.post(f"/api/executions/{first}/cancel", headers=headers)
    fourth = await submit(locked, headers)

    assert [await _first_status(locked, each) for each in (third, fourth)] == ["queued", "pending"]


async def test_a_retried_execution_waits_for_a_place_and_then_continues_where_it_stopped(locked):
    _, headers = await create(locked, maxRunning=1)
    await locked.engine.start_worker()
    plan = {
        "jobs": [
            {"id": "a", "operation": "noop"},
            {"id": "b", "operation": "fail", "params": {"message": "x"}, "dependsOn": ["a"]},
            {"id": "c", "operation": "noop", "dependsOn": ["b"]},
        ]
    }
    failed = (await locked.client.post("/api/executions", json=plan, headers=headers)).json()["executionId"]
    await locked.engine.ended(UUID(failed))
    await locked.client.patch("/api/queues/test", json={"paused": True}, headers=ADMIN)
    running = await submit(locked, headers)

    retried = (await locked.client.post(f"/api/executions/{failed}/retry", headers=headers)).json()
    last = retried["lastEvent"]

    assert (retried["status"], [job["status"] for job in retried["jobs"]]) == (
        "queued",
        ["succeeded", "pending", "pending"],
    )
    assert retried["jobs"][1]["waitReason"]["code"] == "key_limit"
    await locked.client.patch("/api/queues/test", json={"paused": False}, headers=ADMIN)
    await locked.engine.ended(UUID(running))
    again = await locked.engine.wait(UUID(failed), "job.running", job="b", after=last, timeout=20)
    assert again.data["attempt"] == 1
    await locked.engine.wait(UUID(failed), "execution.failed", after=last, timeout=20)


async def test_a_retried_execution_starts_at_once_when_there_is_a_place(locked):
    _, headers = await create(locked, maxRunning=1)
    execution_id = await submit(locked, headers)
    await locked.client.post(f"/api/executions/{execution_id}/cancel", headers=headers)

    retried = (await locked.client.post(f"/api/executions/{execution_id}/retry", headers=headers)).json()

    assert retried["jobs"][0]["status"] == "queued"


async def test_a_retried_job_of_an_execution_that_waits_for_its_place_waits_with_it(locked):
    _, headers = await create(locked, maxRunning=1)
    first = await submit(locked, headers)
    plan = {"jobs": [{"id": "a", "operation": "noop"}, {"id": "b", "operation": "noop"}]}
    second = (await locked.client.post("/api/executions", json=plan, headers=headers)).json()
    await locked.client.post(f"/api/jobs/{second['jobs'][0]['id']}/cancel", headers=headers)
    await locked.client.post(f"/api/jobs/{second['jobs'][0]['id']}/retry", headers=headers)

    async def statuses():
        read = (await locked.client.get(f"/api/executions/{second['executionId']}", headers=ADMIN)).json()
        return [job["status"] for job in read["jobs"]]

    assert await statuses() == ["pending", "pending"]
    await locked.client.post(f"/api/executions/{first}/cancel", headers=headers)
    await give_places(locked.runtime.database, None)
    assert await statuses() == ["queued", "queued"]


async def test_idempotency_keys_of_two_keys_do_not_meet(locked):
    (_, mine), (_, other) = await create(locked), await create(locked)

    async def send(headers, operation, path="/api/executions"):
        plan = {"jobs": [{"id": "a", "operation": operation}]}
        body = plan if path == "/api/executions" else {"executionPlan": plan, "inputs": [{}]}
        return await locked.client.post(path, json=body, headers={**headers, "Idempotency-Key": "order-1"})

    for path, name in (("/api/executions", "executionId"), ("/api/batches", "id")):
        first, second, installation = [await send(headers, "noop", path) for headers in (mine, other, ADMIN)]
        again, different = await send(mine, "noop", path), await send(mine, "fail", path)

        ids = [answer.json()[name] for answer in (first, second, installation)]
        assert len(set(ids)) == 3, path
        assert again.json()[name] == ids[0]
        assert (different.status_code, different.json()["code"]) == (422, "idempotency_conflict")


async def test_free_places_go_to_the_key_with_the_fewest_executions(locked_settings, catalog):
    limited = locked_settings.model_copy(update={"max_running_executions": 3})
    async with served(limited, catalog) as api:
        (_, greedy), (_, modest) = await create(api), await create(api)
        many = [await submit(api, greedy) for _ in range(6)]
        one = await submit(api, modest)
        assert [await _first_status(api, each) for each in (*many, one)] == ["queued"] * 3 + ["pending"] * 4

        await api.client.post(f"/api/executions/{many[0]}/cancel", headers=ADMIN)
        two = await submit(api, modest)

        assert [await _first_status(api, each) for each in (many[3], one, two)] == ["pending", "queued", "pending"]


async def _first_status(api, execution_id):
    return (await api.client.get(f"/api/executions/{execution_id}", headers=ADMIN)).json()["jobs"][0]["status"]
