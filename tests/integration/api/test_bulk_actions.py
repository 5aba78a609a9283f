"""Bulk actions: cancel and retry of everything that matches, and emptied queues, through API, console and commands."""

import asyncio
import html
import json
import re

import pytest

from callsheet.access.keys import ApiKeyRequest, create_key
from callsheet.db.statements import sql
from callsheet.domain.errors import BudgetExceeded
from callsheet.domain.ids import new_id
from callsheet.domain.scopes import Scope
from callsheet.engine.jobs import bulk_work
from callsheet.engine.jobs.bulk_work import continue_bulk_actions
from callsheet.engine.reads.executions import ExecutionFilter, filter_arguments

from .commands import command, command_json
from .test_console import page, token_in


async def preview(api, action, **filters):
    response = await api.client.post("/api/bulk-actions/preview", json={"action": action, "filter": filters})
    assert response.status_code == 200, response.text
    return response.json()


async def start(api, action, filters=None, up_to=None):
    body = {"action": action, "filter": filters or {}, "upTo": up_to}
    response = await api.client.post("/api/bulk-actions", json=body)
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/api/bulk-actions/{response.json()['id']}"
    return response.json()


async def read(api, action):
    return (await api.client.get(f"/api/bulk-actions/{action['id']}")).json()


async def finished(api, action):
    async with asyncio.timeout(20):
        while (found := await read(api, action))["status"] == "running":
            await continue_bulk_actions(api.runtime.database)
    return found


async def status_of(api, execution_id):
    return (await api.client.get(f"/api/executions/{execution_id}")).json()["status"]


async def test_everything_that_matches_is_cancelled_and_nothing_else(api):
    films = [await api.submit(("film", "noop", {}), metadata={"order": str(number)}) for number in range(7)]
    other = await api.submit(("other", "sleep", {"seconds": 1}))

    shown = await preview(api, "cancel", operation="noop")
    later = await api.submit(("film", "noop", {}))
    started = await start(api, "cancel", {"operation": "noop"}, up_to=shown["upTo"])
    ended = await finished(api, started)

    assert (shown["matched"], shown["counts"], len(shown["examples"])) == (7, {"queued": 7}, 5)
    assert (started["matched"], started["status"], started["filter"]["operation"]) == (7, "running", "noop")
    assert (ended["status"], ended["processed"], ended["changed"], ended["unchanged"]) == ("finished", 7, 7, 0)
    assert {await status_of(api, each) for each in films} == {"cancelled"}
    assert [await status_of(api, each) for each in (other, later)] == ["queued", "queued"]
    listed = (await api.client.get("/api/bulk-actions")).json()["bulkActions"]
    assert [each["id"] for each in listed] == [started["id"]]


async def test_failed_executions_are_retried_and_their_jobs_run_again(working):
    failed = [await working.submit(("film", "fail", {"message": "x"})) for _ in range(3)]
    fine = await working.submit(("film", "noop", {}))
    for each in (*failed, fine):
        await working.ended(each)

    ended = await finished(working, await start(working, "retry", {"status": ["failed"]}))

    assert (ended["matched"], ended["changed"], ended["failed"]) == (3, 3, 0)
    for each in failed:
        await working.event(each, "execution.running", after=2)
        events = (
            await working.client.get(f"/api/executions/{each}/events", headers={"Accept": "application/json"})
        ).json()
        assert {"reason": "manual retry"} in [event["data"] for event in events["events"]]
    assert await status_of(working, fine) == "succeeded"


async def test_a_bulk_action_that_a_server_leaves_is_carried_on_by_another_process(api, monkeypatch):
    monkeypatch.setitem(bulk_work._MAX_EXECUTIONS, "cancel", 5)
    executions = [await api.submit(("film", "noop", {})) for _ in range(12)]
    database = api.runtime.database
    started = await start(api, "cancel")

    async with database.transaction() as connection:
        # Another process finds the action locked, and leaves it.
        await bulk_work._do_part(connection)
        assert await continue_bulk_actions(database) == 0
    partly = await read(api, started)
    rest = await asyncio.gather(*(continue_bulk_actions(database) for _ in range(3)))
    ended = await read(api, started)

    assert (partly["processed"], partly["changed"], partly["status"]) == (5, 5, "running")
    assert sum(rest) == 7
    assert (ended["processed"], ended["changed"], ended["status"]) == (12, 12, "finished")
    assert {await status_of(api, each) for each in executions} == {"cancelled"}


async def test_a_part_that_is_rolled_back_is_done_again_and_counted_once(api, monkeypatch):
    executions = [await api.submit(("film", "noop", {})) for _ in range(3)]
    started = await start(api, "cancel")
    with pytest.raises(RuntimeError):
        async with api.runtime.database.transaction() as connection:
            await bulk_work._do_part(connection)
            raise RuntimeError("the process dies")

    assert await status_of(api, executions[0]) == "queued"
    ended = await finished(api, started)
    assert (ended["processed"], ended["changed"]) == (3, 3)


async def test_a_stopped_action_changes_nothing_more(api, monkeypatch):
    monkeypatch.setitem(bulk_work._MAX_EXECUTIONS, "cancel", 2)
    executions = [await api.submit(("film", "noop", {})) for _ in range(5)]
    started = await start(api, "cancel")
    async with api.runtime.database.transaction() as connection:
        await bulk_work._do_part(connection)

    stopped = (await api.client.post(f"/api/bulk-actions/{started['id']}/stop")).json()
    await continue_bulk_actions(api.runtime.database)

    assert (stopped["status"], stopped["changed"]) == ("stopped", 2)
    assert [await status_of(api, each) for each in executions] == ["queued"] * 3 + ["cancelled"] * 2


async def test_executions_that_end_before_their_turn_are_counted_as_unchanged(api, monkeypatch):
    first, second = [await api.submit(("film", "noop", {})) for _ in range(2)]
    started = await start(api, "cancel")
    listed = sql.next_matching_executions

    async def then_one_ends(connection, **values):
        rows = await listed(connection, **values)
        await api.client.post(f"/api/executions/{first}/cancel")
        return rows

    monkeypatch.setitem(sql._by_name, "next_matching_executions", then_one_ends)
    ended = await finished(api, started)

    assert (ended["processed"], ended["changed"], ended["unchanged"]) == (2, 1, 1)
    assert {await status_of(api, each) for each in (first, second)} == {"cancelled"}


async def test_what_cannot_be_retried_is_a_failure_with_its_reason_and_the_others_go_on(working, monkeypatch):
    ids = [await working.submit(("film", "fail", {"message": "x"})) for _ in range(3)]
    for each in ids:
        await working.ended(each)
    retry = bulk_work.retry_execution_in

    async def refuse_one(connection, execution_id, **options):
        await retry(connection, execution_id, **options)
        if str(execution_id) == ids[1]:
            raise BudgetExceeded("No money is left.")

    monkeypatch.setattr(bulk_work, "retry_execution_in", refuse_one)
    ended = await finished(working, await start(working, "retry", {"status": ["failed"]}))

    assert (ended["changed"], ended["failed"], ended["unchanged"]) == (2, 1, 0)
    assert ended["failures"] == [{"executionId": ids[1], "code": "budget_exceeded", "message": "No money is left."}]
    assert await status_of(working, ids[1]) == "failed"  # the savepoint took its retry back


async def test_an_emptied_queue_loses_what_has_not_started_and_skips_what_depends_on_it(api):
    chain = {"jobs": [{"id": "a", "operation": "noop"}, {"id": "b", "operation": "noop", "dependsOn": ["a"]}]}
    first = (await api.client.post("/api/executions", json={"executionPlan": chain})).json()["executionId"]
    second = await api.submit(("film", "noop", {}))

    shown = await preview(api, "empty_queue", queue="test")
    other = await preview(api, "empty_queue", queue="render")
    ended = await finished(api, await start(api, "empty_queue", {"queue": "test"}))

    assert (shown["matched"], other["matched"]) == (2, 0)
    assert (ended["matched"], ended["changed"], ended["status"]) == (2, 2, "finished")
    jobs = (await api.client.get(f"/api/executions/{first}")).json()["jobs"]
    assert [job["status"] for job in jobs] == ["cancelled", "skipped"]
    assert await status_of(api, second) == "cancelled"


async def test_rows_that_a_claim_holds_are_left_for_the_next_round(api):
    execution_id = await api.submit(("film", "noop", {}))
    started = await start(api, "empty_queue", {"queue": "test"})
    database = api.runtime.database

    async with database.transaction() as claim:
        await claim.fetch("SELECT FROM execution_jobs FOR UPDATE")
        assert await continue_bulk_actions(database) == 0
    assert (await read(api, started))["status"] == "running"

    assert (await finished(api, started))["changed"] == 1
    assert await status_of(api, execution_id) == "cancelled"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            {"action": "cancel", "filter": {"status": ["succeeded"]}},
            "possible for executions that are queued and running",
        ),
        ({"action": "empty_queue", "filter": {}}, "needs a filter with the queue"),
        ({"action": "empty_queue", "filter": {"queue": "a", "operation": "b"}}, "and nothing else"),
        ({"action": "cancel"}, "filter"),
        ({"action": "delete", "filter": {}}, "action"),
        ({"action": "cancel", "filter": {"stats": ["queued"]}}, "stats"),
        ({"action": "cancel", "filter": {"search": "a\0b"}}, "search"),
    ],
)
async def test_requests_that_make_no_sense_are_refused_with_the_reason(api, body, says):
    for path in ("/api/bulk-actions", "/api/bulk-actions/preview"):
        response = await api.client.post(path, json=body)
        assert response.status_code == 422
        assert says in response.text
    assert (await api.client.get("/api/bulk-actions")).json()["bulkActions"] == []


async def test_unknown_bulk_actions_are_not_found(api):
    assert (await api.client.get(f"/api/bulk-actions/{new_id()}")).status_code == 404
    assert (await api.client.post(f"/api/bulk-actions/{new_id()}/stop")).status_code == 404


def test_all_statements_that_match_executions_have_the_same_condition():
    texts = [
        sql._by_name[name].text for name in ("list_executions", "count_matching_executions", "next_matching_executions")
    ]
    names = [
        sql._by_name[name].parameters
        for name in ("list_executions", "count_matching_executions", "next_matching_executions")
    ]

    def condition(text, parameters):
        found = re.search(r"\bWHERE\b(.*?)(ORDER BY id DESC|GROUP BY status)", text, re.DOTALL)[1]
        return re.sub(r"\$(\d+)", lambda number: ":" + parameters[int(number[1]) - 1], found)

    assert len({condition(*each) for each in zip(texts, names, strict=True)}) == 1
    assert set(filter_arguments(ExecutionFilter())) | {"before"} == set(names[1])


async def test_the_list_filters_by_key_and_by_source(api):
    async with api.runtime.database.transaction() as connection:
        key = await create_key(connection, ApiKeyRequest(name="shop", scopes=list(Scope)), created_by="test")
    api.app.state.directory.invalidate()
    api.client.headers["Authorization"] = f"Bearer {key.secret}"
    mine = await api.submit(("film", "noop", {}))
    async with api.runtime.database.connection() as connection:
        await connection.execute(
            "INSERT INTO intake_messages (intake, source, message_id, attempt, execution_id, claim, product_id, owner, "
            "owned_until) VALUES ('bullmq', 'videos', '1', '0', $1, '{}', '1', $2, now())",
            mine,
            new_id(),
        )

    async def found(**query):
        return [e["executionId"] for e in (await api.client.get("/api/executions", params=query)).json()["executions"]]

    assert await found(apiKey=str(key.id)) == [mine]
    assert await found(apiKey=str(new_id())) == []
    assert await found(source="videos") == [mine]
    assert await found(source="other") == []
    assert (await preview(api, "cancel", source="videos", apiKey=str(key.id)))["matched"] == 1


async def test_only_operators_may_change_many_executions(api):
    await api.submit(("film", "noop", {}))
    keys = {}
    async with api.runtime.database.transaction() as connection:
        for scope in ("read", "submit", "operate"):
            request = ApiKeyRequest(name=scope, scopes=[Scope(scope)])
            keys[scope] = (await create_key(connection, request, created_by="test")).secret
    api.app.state.directory.invalidate()

    answers = {}
    for scope, secret in keys.items():
        response = await api.client.post(
            "/api/bulk-actions",
            json={"action": "cancel", "filter": {}},
            headers={"Authorization": f"Bearer {secret}"},
        )
        answers[scope] = response.status_code

    assert answers == {"read": 403, "submit": 403, "operate": 202}


async def test_the_console_asks_with_the_number_and_shows_the_progress(api):
    for _ in range(3):
        await api.submit(("film", "noop", {}))

    listed = await page(api, "/executions?operation=noop")
    assert "/console/bulk-actions/new?action=cancel&amp;operation=noop" in listed
    asked = await page(api, "/console/bulk-actions/new?action=cancel&operation=noop")
    assert "Cancel 3 executions?" in asked
    wanted = html.unescape(re.search(r'name="request" value="([^"]*)"', asked)[1])
    assert json.loads(wanted)["filter"] == {"operation": "noop"}
    form = {"token": token_in(asked), "request": wanted}
    response = await api.client.post("/console/bulk-actions", data=form)
    assert response.status_code == 303
    location = response.headers["location"]
    await finished(api, {"id": location.rpartition("/")[2]})

    shown = await page(api, location)
    assert "3 of 3 executions" in shown
    assert "Cancel 3 executions" in await page(api, "/console/bulk-actions")
    assert "Nothing to cancel" in await page(api, "/console/bulk-actions/new?action=cancel&operation=noop")


async def test_the_command_shows_the_number_and_changes_nothing_without_a_yes(api):
    for _ in range(3):
        await api.submit(("film", "noop", {}))
    options = ("executions", "cancel", "--operation", "noop", "--since", "1h")

    shown = (await command(api, *options, "--dry-run")).stdout
    refused = await command(api, *options, status=2)
    unfiltered = await command(api, "executions", "cancel", "--yes", status=2)

    assert shown.startswith("This will cancel 3 executions: 3 queued.\n")
    assert "This will cancel 3 executions: 3 queued." in refused.stderr and "--yes" in refused.stderr
    assert "--all" in unfiltered.stderr
    assert (await api.client.get("/api/bulk-actions")).json()["bulkActions"] == []

    started = await command_json(api, *options, "--yes")
    await finished(api, started)
    listed = (await command(api, "bulk", "list")).stdout
    text = (await command(api, "bulk", "show", started["id"])).stdout
    stopped = await command(api, "bulk", "stop", started["id"])

    assert started["matched"] == 3
    assert "finished: 3 of 3; 3 cancelled" in listed and "operation=noop" in listed
    assert "finished: 3 of 3; 3 cancelled" in text
    assert "finished" in stopped.stderr  # it had ended
    assert (await command_json(api, "executions", "list", "--status", "cancelled", "--source", "x"))["executions"] == []


async def test_the_command_that_empties_a_queue_waits_for_the_end(working):
    await working.client.patch("/api/queues/test", json={"paused": True})
    await working.submit(("film", "noop", {}))

    text = (await command(working, "queues", "empty", "test", "--yes", "--wait")).stdout

    assert text == "finished: 1 of 1; 1 cancelled\n"
