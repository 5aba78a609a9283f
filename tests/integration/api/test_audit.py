"""The audit log: who changed what."""

from datetime import timedelta
from uuid import UUID

import pytest
from pydantic import SecretStr

from callsheet.access.audit import Change, record_changes
from callsheet.api.route_access import ROUTE_ACCESS
from callsheet.cli.installation_database import command_caller
from callsheet.db.statements import sql
from callsheet.domain.callers import LOCAL
from callsheet.testing.waiters import until

from .conftest import served

ADMIN = {"Authorization": "Bearer 0123456789abcdef-key"}
PLAN = {"jobs": [{"id": "a", "operation": "noop"}]}


@pytest.fixture
async def locked(settings, catalog):
    """A server whose settings have a key."""
    async with served(settings.model_copy(update={"api_key": SecretStr("0123456789abcdef-key")}), catalog) as api:
        yield api


async def entries(api, count, **query):
    """Wait until the log has this many entries, and return them, oldest first."""

    async def found():
        page = (await api.client.get("/api/audit", params=query, headers=ADMIN)).json()["entries"]
        return page if len(page) >= count else None

    return list(reversed(await until(found, timeout=5)))


async def test_changes_are_recorded_with_who_what_and_the_request(locked):
    created = await locked.client.post("/api/keys", json={"name": "product"}, headers=ADMIN)
    own = {"Authorization": f"Bearer {created.json()['secret']}", "X-Request-ID": "order-4711-request"}
    submitted = (await locked.client.post("/api/executions", json=PLAN, headers=own)).json()["executionId"]
    await locked.client.get(f"/api/executions/{submitted}", headers=own)
    await locked.client.post(f"/api/executions/{submitted}/cancel", headers=own)

    found = await entries(locked, 3)

    assert [(e["action"], e["target"], e["status"]) for e in found] == [
        ("create_key", f"/api/keys/{created.json()['id']}", 201),
        ("submit_plan", f"/api/executions/{submitted}", 202),
        ("cancel_execution", f"/api/executions/{submitted}/cancel", 200),
    ]
    assert [e["callerKind"] for e in found] == ["installation-key", "key", "key"]
    assert (found[1]["callerId"], found[1]["callerName"]) == (created.json()["id"], "product")
    assert (found[1]["requestId"], found[1]["address"]) == ("order-4711-request", "127.0.0.1")


async def test_attempts_without_the_scope_and_logins_are_recorded(locked):
    created = await locked.client.post("/api/keys", json={"name": "reader", "scopes": ["read"]}, headers=ADMIN)
    reader = {"Authorization": f"Bearer {created.json()['secret']}"}
    await locked.client.post("/api/executions", json=PLAN, headers=reader)
    await locked.client.post("/api/executions", json={"jobs": []}, headers=ADMIN)
    await locked.client.post("/login", data={"user": "mia", "password": "wrong"})
    await locked.client.post("/login", data={"key": created.json()["secret"]})

    found = await entries(locked, 4)

    assert [(e["callerName"], e["action"], e["status"]) for e in found[1:]] == [
        ("reader", "submit_plan", 403),
        ("mia", "log_in", 401),
        ("reader", "log_in", 303),
    ]


async def test_the_log_is_filtered_and_paged(locked):
    key_id = UUID(int=7)
    changes = [
        Change(LOCAL, "first", "/api/queues/a\0"),
        Change(LOCAL, "second", "/api/queues/b"),
        Change(command_caller(), "keys revoke", f"/api/keys/{key_id}"),
    ]
    async with locked.runtime.database.transaction() as connection:
        await record_changes(connection, changes)
        await record_changes(connection, changes)

    page = (await locked.client.get("/api/audit", params={"limit": 2}, headers=ADMIN)).json()
    rest = (await locked.client.get("/api/audit", params={"cursor": page["nextCursor"]}, headers=ADMIN)).json()

    assert [e["action"] for e in (*page["entries"], *rest["entries"])] == ["keys revoke", "second", "first"]
    assert page["entries"][0]["callerKind"] == "cli"
    assert [e["target"] for e in await entries(locked, 1, target="/api/queues/b")] == ["/api/queues/b"]
    assert [e["action"] for e in await entries(locked, 1, action="first")] == ["first"]
    assert (await locked.client.get("/api/audit", params={"caller": str(key_id)}, headers=ADMIN)).json()[
        "entries"
    ] == []


async def test_old_entries_are_deleted(runtime):
    async with runtime.database.transaction() as connection:
        await record_changes(connection, [Change(LOCAL, "old", "/"), Change(LOCAL, "new", "/")])
        await connection.execute("UPDATE audit_entries SET at = now() - interval '2 days' WHERE action = 'old'")

        deleted = await sql.delete_old_audit_entries(connection, max_age=timedelta(days=1).total_seconds(), limit=10)

        assert deleted == 1
        assert await connection.fetchval("SELECT action FROM audit_entries") == "new"


async def test_an_entry_is_stored_before_the_response_unless_the_request_only_adds_something(locked):
    submitted = (await locked.client.post("/api/executions", json=PLAN, headers=ADMIN)).json()["executionId"]
    await locked.app.state.audit_writer.flush()

    async def stored():
        async with locked.runtime.database.connection() as connection:
            return await connection.fetchval("SELECT count(*) FROM audit_entries")

    for number, (method, path, body) in enumerate(
        [
            ("POST", f"/api/executions/{submitted}/cancel", None),
            ("PATCH", "/api/queues/test", {"paused": True}),
            ("POST", "/api/keys", {"name": "product"}),
            ("POST", "/login", None),
        ],
        start=2,
    ):
        await locked.client.request(method, path, json=body, headers=ADMIN)
        assert await stored() == number, path


def test_only_routes_that_add_something_are_recorded_later():
    later = {route for route, access in ROUTE_ACCESS.items() if access.is_recorded_later and access.is_audited}

    assert all(route.startswith("POST ") for route in later)
    assert not any(word in route for route in later for word in ("cancel", "retry", "delete", "stop", "queues"))
