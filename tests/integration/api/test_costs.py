"""Costs at providers: estimates, amounts, sums and monthly budgets."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import SecretStr

from callsheet.db.statements import sql
from callsheet.engine.jobs.bulk_work import continue_bulk_actions
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.task_script import Failed
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.generate import generate
from callsheet.testing.operations import ALL

from .conftest import free_port, served

ADMIN = {"Authorization": "Bearer 0123456789abcdef-key"}
SOON = timedelta(seconds=0.02)
MODEL = "bytedance/seedance-1-pro"
PRICES = """
replicate:
  bytedance/seedance-1-pro:
    {by: resolution, amounts: {480p: 0.03, 1080p: 0.15}, per: second, date: "2026-11-22", source: invoice}
"""


@pytest.fixture
def catalog():
    return Catalog([generate, *ALL])


@pytest.fixture
def service(settings, catalog, tmp_path):
    """A function that serves with a fake provider and prices."""

    @asynccontextmanager
    async def opened(**changed):
        (tmp_path / "prices.yaml").write_text(PRICES)
        changes = {
            "api_key": SecretStr("0123456789abcdef-key"),
            "prices_file": tmp_path / "prices.yaml",
            "provider_poll_initial": SOON,
            "provider_poll_max": SOON,
            "provider_poll_interval": SOON,
            **changed,
        }
        async with FakeReplicate() as provider:
            own = [provider.provider_settings()]
            async with served(settings.model_copy(update=changes), catalog, provider_settings=own) as api:
                api.provider = provider
                yield api

    return opened


def plan(**inputs):
    params = {"modelId": MODEL, "prompt": "fox", "provider": "replicate", **inputs}
    return {"jobs": [{"id": "film", "operation": "generate", "params": params}]}


async def submit(api, headers=ADMIN, body=None, **more):
    return await api.client.post("/api/executions", json=body or plan(), headers=headers | more)


async def key(api, **fields):
    created = await api.client.post("/api/keys", json={"name": "product", **fields}, headers=ADMIN)
    return {"Authorization": f"Bearer {created.json()['secret']}"}, created.json()["id"]


async def sums(api, by):
    response = await api.client.get("/api/costs", params={"by": by}, headers=ADMIN)
    return {each["group"]: (each["amount"], each["fromPrice"]) for each in response.json()["costs"]}


async def ended(api, execution_id):
    await api.event(execution_id, "execution.succeeded")
    [job] = (await api.client.get(f"/api/executions/{execution_id}", headers=ADMIN)).json()["jobs"]
    return job


async def test_a_submission_says_what_it_is_expected_to_cost(service):
    async with service() as api:
        receipt = (await submit(api)).json()
        cheap = (await submit(api, body=plan(resolution="480p", duration=10))).json()
        unknown = (await submit(api, body=plan(resolution="720p"))).json()
        free = (await submit(api, body={"jobs": [{"id": "a", "operation": "noop"}]})).json()
        check = (await api.client.post("/api/plans/check", json=plan(), headers=ADMIN)).json()

    assert receipt["estimatedCost"] == {"amount": 0.75, "currency": "USD", "unpricedJobs": []}
    assert cheap["estimatedCost"]["amount"] == 0.3
    assert unknown["estimatedCost"] == {"amount": 0, "currency": "USD", "unpricedJobs": ["film"]}
    assert free["estimatedCost"] == {"amount": 0, "currency": "USD", "unpricedJobs": []}
    assert check["estimatedCost"] == receipt["estimatedCost"]


async def test_costs_are_summed_by_execution_key_model_and_day(service):
    async with service() as api:
        await api.engine.start_worker()
        headers, key_id = await key(api)
        first = (await submit(api, headers)).json()["executionId"]
        second = (await submit(api, body=plan(resolution="480p"))).json()["executionId"]
        job = await ended(api, first)
        await ended(api, second)

        by_execution, by_key = await sums(api, "execution"), await sums(api, "key")
        by_model, by_day = await sums(api, "model"), await sums(api, "day")

    assert (job["cost"], job["costSource"]) == (0.75, "price")
    assert by_execution == {first: (0.75, 1), second: (0.15, 1)}
    assert by_key == {key_id: (0.75, 1), None: (0.15, 1)}
    assert by_model == {f"replicate/{MODEL}": (0.9, 2)}
    assert list(by_day.values()) == [(0.9, 2)]


async def test_a_task_that_failed_costs_nothing_by_the_price(service):
    async with service() as api:
        api.provider.script(Failed("provider_failed"))
        await api.engine.start_worker()
        execution_id = (await submit(api)).json()["executionId"]
        await api.event(execution_id, "execution.failed")

        assert await sums(api, "execution") == {}


async def test_a_plan_beyond_the_budget_of_its_key_is_refused_before_anything_is_spent(service):
    async with service() as api:
        headers, _ = await key(api, monthlyBudget=2)
        accepted = [await submit(api, headers) for _ in range(2)]
        refused = await submit(api, headers)
        repeated = await submit(api, headers, **{"Idempotency-Key": "a"})
        others = await submit(api)
        free = await submit(api, headers, {"jobs": [{"id": "a", "operation": "noop"}]})
        shown = (await api.client.get("/api/executions", headers=ADMIN)).json()["executions"]

    assert [each.status_code for each in accepted] == [202, 202]
    assert (refused.status_code, refused.json()["code"]) == (402, "budget_exceeded")
    assert "$2.00" in refused.json()["detail"]
    assert repeated.status_code == 402
    assert (others.status_code, free.status_code) == (202, 202)
    assert len(shown) == 4
    assert not api.provider.tasks


async def test_the_actual_cost_replaces_the_estimate_in_a_budget(service):
    async with service() as api:
        headers, _ = await key(api, monthlyBudget=1)
        first = (await submit(api, headers, **{"Idempotency-Key": "order-1"})).json()["executionId"]
        assert (await submit(api, headers)).status_code == 402
        again = await submit(api, headers, **{"Idempotency-Key": "order-1"})
        await api.client.post(f"/api/executions/{first}/cancel", headers=headers)

        assert (again.status_code, again.json()["executionId"]) == (202, first)
        assert (await submit(api, headers)).status_code == 202


async def test_the_budget_of_the_installation_counts_all_executions(service):
    async with service(monthly_budget=Decimal("1.6")) as api:
        headers, _ = await key(api)
        assert (await submit(api, headers)).status_code == 202
        batch = {"executionPlan": plan() | {"inputs": {"n": {"type": "integer"}}}, "inputs": [{"n": 1}, {"n": 2}]}
        both = await api.client.post("/api/batches", json=batch, headers=ADMIN)
        one = await api.client.post("/api/batches", json=batch | {"inputs": [{"n": 1}]}, headers=ADMIN)

    assert (both.status_code, one.status_code) == (402, 202), both.text + one.text
    assert "this installation" in both.json()["detail"]


async def test_a_reported_cost_counts_instead_of_the_price(service):
    async with service() as api:
        execution_id = (await submit(api)).json()["executionId"]
        async with api.runtime.database.connection() as connection:
            job = await connection.fetchval("SELECT id FROM execution_jobs")
            await connection.execute("UPDATE execution_jobs SET status = 'running', epoch = 1")
            for place, (price, reported) in enumerate(((0.75, 0.5), (0.75, None))):
                submission = await connection.fetchval(
                    "INSERT INTO submissions (id, job, step, epoch, provider, model, request_digest, price) "
                    "VALUES (gen_random_uuid(), $1, $2, 1, 'replicate', 'x', '', $3) RETURNING id",
                    job,
                    f"step {place}",
                    price,
                )
                await end(connection, submission, reported)
                row = await connection.fetchrow("SELECT cost, cost_source FROM execution_jobs")
                assert tuple(row) == [(0.5, "provider"), (1.25, "price")][place]
    assert execution_id


async def end(connection, submission, cost):
    await sql.end_submission(
        connection, id=submission, epoch=1, ended="succeeded", status="done", cost=cost, seconds=None
    )


async def test_servers_that_accept_plans_at_the_same_moment_keep_to_a_budget_together(service, settings, catalog):
    async with service(monthly_budget=Decimal("2.3")) as api:  # three plans of 0.75
        shared = api.runtime.settings.model_copy(update={"port": free_port()})
        async with FakeReplicate() as provider:
            own = [provider.provider_settings()]
            async with served(shared, catalog, provider_settings=own) as other:
                answers = await asyncio.gather(*(submit(each) for _ in range(6) for each in (api, other)))

    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [402] * 9


async def test_a_retry_that_would_exceed_a_budget_is_refused_and_changes_nothing(service):
    async with service() as api:
        headers, _ = await key(api, monthlyBudget=1)
        first = (await submit(api, headers)).json()["executionId"]
        await api.client.post(f"/api/executions/{first}/cancel", headers=headers)
        second = (await submit(api, headers)).json()["executionId"]
        [job] = (await api.client.get(f"/api/executions/{first}", headers=ADMIN)).json()["jobs"]

        for path in (f"/api/executions/{first}/retry", f"/api/jobs/{job['id']}/retry"):
            refused = await api.client.post(path, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (402, "budget_exceeded")
            assert "the rest of the execution is estimated at $0.75" in refused.json()["detail"]
        assert (await api.client.get(f"/api/executions/{first}", headers=ADMIN)).json()["status"] == "cancelled"
        body = {"action": "retry", "filter": {"status": ["cancelled"]}}
        bulk = (await api.client.post("/api/bulk-actions", json=body, headers=ADMIN)).json()["id"]
        await continue_bulk_actions(api.runtime.database)
        done = (await api.client.get(f"/api/bulk-actions/{bulk}", headers=ADMIN)).json()
        assert (done["failed"], done["failures"][0]["code"]) == (1, "budget_exceeded")

        await api.client.post(f"/api/executions/{second}/cancel", headers=headers)
        assert (await api.client.post(f"/api/executions/{first}/retry", headers=headers)).status_code == 200


async def test_a_retry_of_an_execution_of_an_earlier_month_counts_in_the_month_of_its_submissions(service):
    async with service() as api:
        await api.engine.start_worker()
        headers, _ = await key(api, monthlyBudget=1)
        old = (await submit(api, headers)).json()["executionId"]
        await ended(api, old)
        async with api.runtime.database.connection() as connection:
            await connection.execute("UPDATE executions SET created_at = created_at - interval '40 days'")

            # What was submitted this month counts, although its execution is older.
            assert (await submit(api, headers)).status_code == 402
            await connection.execute("UPDATE submissions SET created_at = created_at - interval '40 days'")
            accepted = await submit(api, headers)

    assert accepted.status_code == 202


async def test_a_retry_of_an_execution_of_an_earlier_month_reserves_the_rest_of_its_estimate(service):
    async with service() as api:
        headers, _ = await key(api, monthlyBudget=1)
        old = (await submit(api, headers)).json()["executionId"]
        await api.client.post(f"/api/executions/{old}/cancel", headers=headers)
        async with api.runtime.database.connection() as connection:
            await connection.execute("UPDATE executions SET created_at = created_at - interval '40 days'")
        retried = await api.client.post(f"/api/executions/{old}/retry", headers=headers)
        refused = await submit(api, headers)

    assert (retried.status_code, refused.status_code) == (200, 402)
    assert "$0.75 of it are spent or reserved" in refused.json()["detail"]


async def test_a_retry_of_what_costs_nothing_is_not_refused(service):
    async with service(monthly_budget=Decimal(0)) as api:
        free = {"jobs": [{"id": "a", "operation": "noop"}]}
        execution_id = (await submit(api, body=free)).json()["executionId"]
        await api.client.post(f"/api/executions/{execution_id}/cancel", headers=ADMIN)

        assert (await api.client.post(f"/api/executions/{execution_id}/retry", headers=ADMIN)).status_code == 200


async def test_a_budget_can_be_spent_to_its_last_cent(service):
    async with service() as api:
        headers, _ = await key(api, monthlyBudget=4.95)
        body = plan(resolution="480p")  # 0.15; 32 of them are 4.800000000000001 as a sum of floats
        answers = [(await submit(api, headers, body)).status_code for _ in range(34)]

    assert answers == [202] * 33 + [402]


async def test_a_retry_that_submits_again_reserves_what_it_may_cost_once_more(service):
    async with service() as api:
        await api.engine.start_worker()
        headers, _ = await key(api, monthlyBudget=2)
        done = (await submit(api, headers)).json()["executionId"]
        await ended(api, done)
        async with api.runtime.database.connection() as connection:
            # As after an output that could not be stored: the provider has charged, and the job has failed.
            await connection.execute("UPDATE execution_jobs SET status = 'failed', error = '{\"code\": \"x\"}'")
            await connection.execute("UPDATE executions SET status = 'failed'")
        await api.client.patch("/api/queues/generate", json={"paused": True}, headers=ADMIN)
        path = f"/api/executions/{done}"
        again = await api.client.post(f"{path}/retry", json={"resubmit": True}, headers=headers)
        more = await submit(api, headers)
        await api.client.post(f"{path}/cancel", headers=headers)
        async with api.runtime.database.connection() as connection:
            await connection.execute("UPDATE api_keys SET monthly_budget = 1")
        api.app.state.directory.invalidate()
        refused = await api.client.post(f"{path}/retry", json={"resubmit": True}, headers=headers)
        without = await api.client.post(f"{path}/retry", headers=headers)

    assert again.status_code == 200, again.text
    assert more.status_code == 402
    assert "$1.50 of it are spent or reserved" in more.json()["detail"]
    assert (refused.status_code, refused.json()["code"]) == (402, "budget_exceeded")
    assert without.status_code == 402


async def test_the_page_of_providers_says_the_newest_error_and_leads_to_its_job(service):
    async with service() as api:
        api.provider.script(Failed("<script>no</script> capacity"))
        await api.engine.start_worker()
        execution_id = (await submit(api)).json()["executionId"]
        await api.event(execution_id, "execution.failed")
        [job] = (await api.client.get(f"/api/executions/{execution_id}", headers=ADMIN)).json()["jobs"]
        text = (await api.client.get("/console/providers", headers=ADMIN)).text

    assert "newest failure" in text
    assert "&lt;script&gt;no&lt;/script&gt; capacity" in text and "<script>no" not in text
    assert f'href="/jobs/{job["id"]}"' in text
