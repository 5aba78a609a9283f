"""Stored plans and batches through the API."""

import asyncio

import pytest

from callsheet.engine.jobs import batch_cancellation
from callsheet.engine.jobs.batch_cancellation import continue_batch_cancellations

CARD = {
    "name": "Card ${inputs.text}",
    "inputs": {"text": {"maxLength": 20}, "count": {"type": "integer", "default": 1, "minimum": 1}},
    "jobs": [{"id": "a", "operation": "noop", "params": {"value": ["${inputs.text}", "${inputs.count}"]}}],
}


async def push(api, name="card", plan=CARD, status=201):
    response = await api.client.post("/api/plans", json={"name": name, "plan": plan})
    assert response.status_code == status, response.text
    return response.json()


async def run(api, status=202, headers=None, **body):
    response = await api.client.post("/api/plans/card/runs", json=body, headers=headers)
    assert response.status_code == status, response.text
    return response


async def test_a_plan_is_stored_once_and_a_change_is_a_new_version(api):
    first = await push(api)
    same = await push(api, status=200)
    changed = await push(api, plan={**CARD, "description": "A card"})

    assert (first["version"], same["version"], changed["version"]) == (1, 1, 2)
    assert first["inputsSchema"]["required"] == ["text"]
    newest = (await api.client.get("/api/plans/card")).json()
    assert (newest["version"], newest["description"], newest["origin"]) == (2, "A card", "stored")
    assert (await api.client.get("/api/plans/card?version=1")).json()["description"] is None
    listed = (await api.client.get("/api/plans")).json()["plans"]
    assert [(p["name"], p["version"]) for p in listed if p["origin"] == "stored"] == [("card", 2)]
    versions = (await api.client.get("/api/plans/card/versions")).json()["versions"]
    assert [each["version"] for each in versions] == [2, 1]


async def test_inputs_keep_the_order_of_the_plan_and_another_order_is_a_change(api):
    inputs = {"headline": {}, "a": {}, "middle": {}}
    job = {"id": "a", "operation": "noop", "params": {"value": [f"${{inputs.{name}}}" for name in inputs]}}
    turned = dict(reversed(inputs.items()))

    await push(api, plan={"inputs": inputs, "jobs": [job]})
    await push(api, plan={"inputs": inputs, "jobs": [job]}, status=200)
    await push(api, plan={"inputs": turned, "jobs": [job]})

    first = (await api.client.get("/api/plans/card?version=1")).json()
    newest = (await api.client.get("/api/plans/card")).json()
    assert [*first["inputs"]] == [*inputs]
    assert [*first["inputsSchema"]["properties"]] == first["inputsSchema"]["required"] == [*first["plan"]["inputs"]]
    assert [*newest["inputs"]] == [*turned]


async def test_concurrent_pushes_get_different_versions(api):
    plans = [{**CARD, "description": str(number)} for number in range(8)]

    stored = await asyncio.gather(*(push(api, plan=plan) for plan in plans))

    assert sorted(each["version"] for each in stored) == list(range(1, 9))


async def test_a_bad_plan_is_refused_with_every_problem_and_not_stored(api):
    bad = {
        "inputs": {"text": {"type": "string"}, "Bad name": {}},
        "jobs": [
            {"id": "a", "operation": "nope"},
            {"id": "b", "operation": "noop", "params": {"value": "${inputs.txt}"}},
        ],
    }
    response = await api.client.post("/api/plans", json={"name": "bad", "plan": bad})
    assert response.status_code == 422
    assert {problem["path"] for problem in response.json()["errors"]} >= {"inputs.Bad name", "jobs[0].operation"}

    bad["inputs"].pop("Bad name")
    response = await api.client.post("/api/plans", json={"name": "bad", "plan": bad})
    assert {problem["path"] for problem in response.json()["errors"]} == {"jobs[0].operation", "jobs[1].params.value"}
    assert (await api.client.get("/api/plans/bad")).status_code == 404


async def test_a_run_inserts_its_inputs_and_names_its_plan(api):
    await api.engine.start_worker()
    await push(api)
    receipt = (await run(api, inputs={"text": "${a.b}"}, metadata={"order": 1})).json()

    execution = await api.ended(receipt["executionId"])

    assert execution["status"] == "succeeded"
    assert execution["jobs"][0]["result"]["value"] == ["${a.b}", 1]
    assert (execution["planName"], execution["planVersion"], execution["inputs"]) == ("card", 1, {"text": "${a.b}"})
    assert (execution["name"], execution["metadata"]) == ("Card ${a.b}", {"order": 1})
    listed = (await api.client.get("/api/executions?plan=card")).json()["executions"]
    assert [each["executionId"] for each in listed] == [receipt["executionId"]]
    assert (await api.client.get("/api/executions?plan=other")).json()["executions"] == []


async def test_a_run_with_bad_inputs_is_refused_with_every_problem(api):
    await push(api)
    response = await run(api, 422, inputs={"count": 0, "colour": "red"}, callbackUrl="ftp://example.com")

    problems = {each["path"]: each["message"] for each in response.json()["errors"]}
    assert problems.keys() == {"inputs.text", "inputs.count", "inputs.colour", "callbackUrl"}
    assert problems["inputs.count"] == "must be at least 1; got 0"


async def test_a_repeated_run_returns_the_first_even_after_a_new_version(api):
    await push(api)
    key = {"Idempotency-Key": "order-1"}
    first = (await run(api, headers=key, inputs={"text": "x"})).json()
    await push(api, plan={**CARD, "description": "new"})

    again = await run(api, headers=key, inputs={"text": "x"})

    assert again.json()["executionId"] == first["executionId"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (await run(api, 422, headers=key, inputs={"text": "y"})).json()["code"] == "idempotency_conflict"


async def test_an_old_version_runs_and_a_deleted_plan_does_not(api):
    await push(api)
    await push(api, plan={**CARD, "jobs": [{"id": "other", "operation": "noop"}]})
    old = (await run(api, inputs={"text": "x"}, version=1)).json()
    assert [job["jobId"] for job in old["jobs"]] == ["a"]
    await run(api, 404, inputs={"text": "x"}, version=9)

    assert (await api.client.delete("/api/plans/card")).status_code == 204

    await run(api, 404, inputs={"text": "x"})
    assert (await api.client.delete("/api/plans/card")).status_code == 404
    assert (await api.client.get(f"/api/executions/{old['executionId']}")).json()["planName"] == "card"


async def batch_of(api, status=202, path="/api/plans/card/batches", headers=None, **body):
    response = await api.client.post(path, json=body, headers=headers)
    assert response.status_code == status, response.text
    return response


async def ended_batch(api, batch_id):
    async with asyncio.timeout(30):
        while True:
            batch = (await api.client.get(f"/api/batches/{batch_id}")).json()
            if not batch["executionCounts"].keys() & {"queued", "running"}:
                return batch
            await asyncio.sleep(0.05)


async def test_a_batch_runs_once_for_each_row_and_is_listed_together(api):
    await api.engine.start_worker()
    await push(api)
    rows = [{"text": f"row {number}"} for number in range(30)]
    batch = (await batch_of(api, name="thirty", sharedInputs={"count": 2}, inputs=rows)).json()

    ended = await ended_batch(api, batch["id"])

    assert (ended["size"], ended["planName"], ended["executionCounts"]) == (30, "card", {"succeeded": 30})
    executions = (await api.client.get(f"/api/executions?batch={batch['id']}&limit=100")).json()["executions"]
    assert sorted(each["name"] for each in executions) == sorted(f"Card row {number}" for number in range(30))
    first = (await api.client.get(f"/api/executions/{executions[0]['executionId']}")).json()
    assert first["inputs"]["count"] == 2
    assert [each["id"] for each in (await api.client.get("/api/batches")).json()["batches"]] == [batch["id"]]


async def test_a_matrix_runs_every_combination(api):
    await api.engine.start_worker()
    body = {"executionPlan": CARD, "matrix": {"text": ["a", "b"], "count": [1, 2, 3]}}
    batch = (await batch_of(api, path="/api/batches", **body)).json()

    assert (batch["size"], batch["planName"]) == (6, None)
    await ended_batch(api, batch["id"])
    listed = (await api.client.get(f"/api/executions?batch={batch['id']}")).json()["executions"]
    inputs = [(await api.client.get(f"/api/executions/{each['executionId']}")).json()["inputs"] for each in listed]
    assert {(each["text"], each["count"]) for each in inputs} == {(t, c) for t in "ab" for c in (1, 2, 3)}


async def test_a_batch_with_bad_rows_is_refused_whole_with_the_problems_of_all_rows(api):
    await push(api)
    response = await batch_of(api, 422, inputs=[{"text": "ok"}, {"count": 0}, {"text": "x" * 30}])

    paths = [problem["path"] for problem in response.json()["errors"]]
    assert paths == ["inputs[1].text", "inputs[1].count", "inputs[2].text"]
    assert (await api.client.get("/api/batches")).json()["batches"] == []
    assert (await api.client.get("/api/executions")).json()["executions"] == []


@pytest.mark.parametrize(
    "body",
    [{}, {"inputs": [], "matrix": {}}, {"inputs": []}, {"matrix": {"text": [], "count": [1]}},
     {"matrix": {"text": ["x"] * 200, "count": [1] * 200}}],
)  # fmt: skip
async def test_a_batch_without_rows_or_with_too_many_is_refused(api, body):
    await push(api)

    assert (await batch_of(api, 422, **body)).json()["errors"]


async def test_a_repeated_batch_returns_the_first(api):
    await push(api)
    key = {"Idempotency-Key": "batch-1"}
    bodies = [{"inputs": [{"text": "a"}]}] * 5

    answers = await asyncio.gather(*(batch_of(api, headers=key, **body) for body in bodies))

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 4
    assert len((await api.client.get("/api/executions")).json()["executions"]) == 1
    await batch_of(api, 422, headers=key, inputs=[{"text": "b"}])


async def test_a_batch_is_cancelled_and_retried_together(api):
    await push(
        api,
        plan={**CARD, "jobs": [{"id": "a", "operation": "noop"}, {"id": "b", "operation": "noop", "dependsOn": ["a"]}]},
    )
    batch = (await batch_of(api, inputs=[{"text": str(number)} for number in range(12)])).json()

    cancelled = await api.client.post(f"/api/batches/{batch['id']}/cancel")
    early = await api.client.post(f"/api/batches/{batch['id']}/retry")
    await continue_batch_cancellations(api.runtime.database)
    ended = await ended_batch(api, batch["id"])

    assert (cancelled.status_code, cancelled.json()["cancellation"]["finished"]) == (202, False)
    assert (early.status_code, early.json()["code"]) == (409, "invalid_state")
    assert ended["executionCounts"] == {"cancelled": 12}
    assert (ended["cancellation"]["processed"], ended["cancellation"]["finished"]) == (12, True)
    assert (await api.client.post(f"/api/batches/{batch['id']}/retry")).json()["changed"] == 12


async def test_a_cancellation_that_a_server_leaves_is_carried_on_by_another_process(api, monkeypatch):
    monkeypatch.setattr(batch_cancellation, "_MAX_EXECUTIONS", 5)
    await push(api)
    batch = (await batch_of(api, inputs=[{"text": str(number)} for number in range(12)])).json()
    database = api.runtime.database

    await api.client.post(f"/api/batches/{batch['id']}/cancel")
    async with database.transaction() as connection:
        # Another process finds the batch locked, and leaves it.
        await batch_cancellation._cancel_part(connection)
        assert await continue_batch_cancellations(database) == 0
    partly = (await api.client.get(f"/api/batches/{batch['id']}")).json()
    rest = await asyncio.gather(*(continue_batch_cancellations(database) for _ in range(3)))
    ended = await ended_batch(api, batch["id"])

    assert partly["executionCounts"] == {"cancelled": 5, "queued": 7}
    assert (partly["cancellation"]["processed"], partly["cancellation"]["total"]) == (5, 12)
    assert sum(rest) == 7
    assert ended["executionCounts"] == {"cancelled": 12}


async def test_unknown_batches_are_not_found(api):
    missing = "019ab1f0-0000-7000-8000-000000000099"

    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        assert (await api.client.request(method, f"/api/batches/{missing}{path}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"inputs": [{"text": "a"}, {"text": 99999999999999999999999}]}', "inputs[1]"),
        (b'{"inputs": [{"text": "\\ud800"}]}', "inputs[0]"),
        (b'{"inputs": [{"text": "a"}], "sharedInputs": {"count": 99999999999999999999999}}', "sharedInputs"),
        (b'{"inputs": [{"text": "a"}], "metadata": {"a": "\\ud800"}}', "metadata"),
        (b'{"inputs": [{"text": "a"}], "version": 99999999999}', "version"),
    ],
)
async def test_a_batch_with_values_that_cannot_be_stored_is_refused_with_their_path(api, body, path):
    await push(api)

    response = await api.client.post(
        "/api/plans/card/batches", content=body, headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 422, response.text
    assert [problem["path"] for problem in response.json()["errors"]] == [path]


async def test_a_matrix_with_countless_combinations_or_names_is_refused(api):
    await push(api)
    countless = {str(number): [1] * 100 for number in range(90)}
    many_names = {str(number): [1] for number in range(5000)}

    for matrix, says in ((countless, "more than 10,000 combinations"), (many_names, "at most 100")):
        assert says in (await batch_of(api, 422, matrix=matrix)).text


async def test_a_batch_whose_executions_are_too_large_together_is_refused_before_all_are_made(api, monkeypatch):
    monkeypatch.setattr("callsheet.engine.jobs.batches.MAX_BYTES", 20_000)
    plan = {"inputs": {"text": {}}, "jobs": [{"id": "a", "operation": "noop", "params": {"value": "${inputs.text}"}}]}
    await push(api, plan=plan)
    rows = [{} for _ in range(100)]

    error = (await batch_of(api, 422, inputs=rows, sharedInputs={"text": "x" * 4_000})).json()["errors"][0]

    assert (error["path"], error["code"]) == ("inputs", "too_large")
    assert error["message"].startswith("the first 3 rows need")
    assert (await batch_of(api, inputs=rows[:2], sharedInputs={"text": "x" * 4_000})).json()["size"] == 2
