"""Saved views: named filters of the lists, in the API, the command line and the console."""

import re

from pydantic import SecretStr

from callsheet.engine.saved_views import MAX_VIEWS

from .commands import command, command_json
from .conftest import served

ADMIN = {"Authorization": "Bearer 0123456789abcdef-key"}
FAILED = {"status": ["failed"], "operation": "render"}


async def key(api, *scopes):
    created = await api.client.post("/api/keys", json={"name": scopes[0], "scopes": scopes}, headers=ADMIN)
    return {"Authorization": f"Bearer {created.json()['secret']}"}


async def put(api, path, headers=None, **body):
    return await api.client.put(f"/api/views/{path}", json=body, headers=headers)


async def names(api, headers=None, **query):
    views = (await api.client.get("/api/views", params=query, headers=headers)).json()["views"]
    return [(each["list"], each["name"], each["shared"]) for each in views]


async def test_a_view_belongs_to_the_key_that_saved_it_unless_it_is_shared(settings, catalog):
    locked = settings.model_copy(update={"api_key": SecretStr("0123456789abcdef-key")})
    async with served(locked, catalog) as api:
        reader, operator = await key(api, "read"), await key(api, "read", "operate")
        saved = await put(api, "executions/Failed renders", reader, filter=FAILED)
        refused = await put(api, "executions/All", reader, filter={}, shared=True)
        shared = await put(api, "jobs/Running", operator, filter={"status": ["running"]}, shared=True)

        assert (saved.status_code, saved.json()["filter"]) == (200, FAILED)
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
        assert shared.json()["createdBy"] == "read"
        assert await names(api, reader) == [("executions", "Failed renders", False), ("jobs", "Running", True)]
        assert await names(api, operator) == [("jobs", "Running", True)]
        assert await names(api, reader, list="jobs") == [("jobs", "Running", True)]

        for headers, query, status in (
            (reader, "jobs/Running?shared=true", 403),
            (operator, "executions/Failed%20renders", 404),
            (operator, "jobs/Running?shared=true", 204),
            (reader, "executions/Failed%20renders", 204),
        ):
            assert (await api.client.delete(f"/api/views/{query}", headers=headers)).status_code == status, query
        assert await names(api, reader) == []


async def test_a_filter_that_the_list_does_not_have_is_refused_with_what_it_has(api):
    wrong = await put(api, "jobs/A", filter={"search": "fox"})
    bad = await put(api, "executions/A", filter={"status": ["asleep"]})
    other = await put(api, "workers/A", filter={})
    unnamed = await put(api, "jobs/%20", filter={})

    assert (wrong.status_code, bad.status_code, other.status_code, unnamed.status_code) == (422, 422, 404, 404)
    [problem] = wrong.json()["errors"]
    assert problem["path"] == "filter.search"
    assert "errorCode" in problem["message"]
    assert bad.json()["errors"][0]["path"] == "filter.status.0"
    assert "'asleep'" in bad.json()["errors"][0]["message"]


async def test_saving_again_replaces_a_view_and_their_number_is_limited(api):
    await put(api, "executions/A", filter=FAILED)
    await put(api, "executions/A", filter={"queue": "render"})
    async with api.runtime.database.connection() as connection:
        assert await connection.fetchval("SELECT filter FROM saved_views") == '{"queue": "render"}'
        await connection.execute(
            "INSERT INTO saved_views (id, owner, list, name, filter, created_by) "
            "SELECT gen_random_uuid(), 'local', 'jobs', n::text, '{}', '' FROM generate_series(1, $1) n",
            MAX_VIEWS - 1,
        )

    assert (await put(api, "executions/A", filter={})).status_code == 200
    full = await put(api, "executions/B", filter={})
    assert (full.status_code, full.json()["detail"]) == (409, "There are 200 views already. Delete one first.")


async def test_commands_save_use_and_delete_views(working):
    failed = await working.submit(("a", "fail", {"message": "x"}))
    other = await working.submit(("b", "noop", {}))
    await working.ended(failed)
    await working.ended(other)

    saved = await command(working, "views", "save", "It failed", "--status", "failed", "--shared")
    await command(working, "views", "save", "It failed", "--list", "jobs", "--status", "failed")
    executions = await command_json(working, "executions", "list", "--view", "It failed")
    jobs = await command_json(working, "jobs", "list", "--view", "It failed")
    none = await command_json(working, "executions", "list", "--view", "It failed", "--operation", "noop")
    listed = (await command(working, "views", "list")).stdout
    unknown = await command(working, "executions", "list", "--view", "It faild", status=3)
    await command(working, "views", "delete", "It failed", "--shared")

    assert "callsheet executions list --view 'It failed'" in saved.stderr
    assert [each["executionId"] for each in executions["executions"]] == [failed]
    assert [each["jobId"] for each in jobs["jobs"]] == ["a"]
    assert none["executions"] == []
    assert re.search("executions +It failed +all +status=failed", listed)
    assert "did you mean 'It failed'" in unknown.stderr.replace("Did", "did")
    assert await names(working) == [("jobs", "It failed", False)]


async def test_the_list_of_the_console_saves_shows_and_deletes_views(api):
    page = (await api.client.get("/executions?status=failed&createdAfter=2026-01-01T00:00&search=")).text
    [action] = re.findall('action="(/console/views/executions[?][^"]*)"', page)
    token = re.search('name="token" value="([^"]+)"', page)[1]
    saved = await api.client.post(action.replace("&amp;", "&"), data={"token": token, "name": " My failures "})
    shown = (await api.client.get(saved.headers["location"])).text
    views = (await api.client.get("/api/views")).json()["views"]
    nameless = await api.client.post("/console/views/executions", data={"token": token, "name": "a/b"})

    assert views[0]["filter"] == {"status": ["failed"], "createdAfter": "2026-01-01T00:00:00Z"}
    assert re.search('aria-current="true">My failures</a>', shown)
    assert (nameless.status_code, "1 to 60 characters" in nameless.text) == (422, True)

    deleted = await api.client.post("/console/views/executions/delete", data={"token": token, "name": "My failures"})
    assert deleted.headers["location"] == "/executions"
    assert await names(api) == []
