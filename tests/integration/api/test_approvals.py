"""Approvals: a job waits for the yes or no of a person, without a slot."""

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from callsheet.engine.jobs.approvals import expire_approvals
from callsheet.files.approval_links import approval_link
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.approve import approve
from callsheet.testing.operations import ALL

from .conftest import codes, served

KEY = {"Authorization": "Bearer long-enough-key"}
MIA = {"by": "Mia", "comment": "Good."}


@pytest.fixture
def catalog():
    return Catalog([*ALL, approve])


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"public_url": f"http://127.0.0.1:{settings.port}"})


async def asked(api, *more, **params):
    """Submit a job that asks, and jobs around it; return the execution id and the approval."""
    execution_id = await api.submit(("review", "approve", {"title": "Publish it?", **params}), *more)
    event = await api.event(execution_id, "job.approval_requested")
    response = await api.client.get(f"/api/approvals/{event.data['approval']}")
    assert response.status_code == 200, response.text
    return execution_id, response.json()


async def decide(api, approval, action, body=MIA):
    return await api.client.post(f"/api/approvals/{approval['id']}/{action}", json=body)


async def pass_deadline(api, approval):
    """Move the deadline to the past: the test waits for no time."""
    async with api.runtime.database.connection() as connection:
        await connection.execute(
            "UPDATE approvals SET deadline = now() - interval '1 second' WHERE id = $1", UUID(approval["id"])
        )
    await expire_approvals(api.runtime.database)


AFTER = ("after", "write", {"name": "note.txt", "text": "approved: ${review.approved}"})


async def job_of(api, execution_id, name="review"):
    execution = (await api.client.get(f"/api/executions/{execution_id}")).json()
    return next(job for job in execution["jobs"] if job["jobId"] == name)


async def test_an_approval_ends_the_job_and_starts_the_next_one(working):
    execution_id, approval = await asked(working, AFTER)
    assert (approval["status"], approval["default"], approval["by"]) == ("open", "fail", None)
    job = await job_of(working, execution_id)
    assert (job["status"], job["waitReason"]["code"]) == ("waiting", "waiting_for_approval")
    assert job["waitReason"]["facts"]["approval"] == approval["id"]

    response = await decide(working, approval, "approve")

    assert response.status_code == 200, response.text
    decided = response.json()
    assert (decided["status"], decided["by"], decided["how"], decided["url"]) == ("approved", "Mia", "api", None)
    ended = await working.ended(execution_id)
    assert (ended["status"], [job["status"] for job in ended["jobs"]]) == ("succeeded", ["succeeded"] * 2)
    result = ended["jobs"][0]["result"]
    assert result == {
        "approved": True,
        "by": "Mia",
        "comment": "Good.",
        "how": "api",
        "decidedAt": result["decidedAt"],
    }
    events = [event.type for event in await working.engine.events(UUID(execution_id), job="review")]
    assert events == [
        *("job.running", "job.waiting", "job.approval_requested"),
        *("job.approval_decided", "job.succeeded"),
    ]


async def test_a_rejection_fails_the_job_and_skips_the_next_one(working):
    execution_id, approval = await asked(working, AFTER)

    await decide(working, approval, "reject", {"by": "Mia", "comment": "Too long"})

    review, after = (await working.ended(execution_id))["jobs"]
    assert (review["status"], review["error"]["code"], after["status"]) == ("failed", "approval_rejected", "skipped")
    assert review["error"]["message"] == "Mia rejected “Publish it?”: Too long"


async def test_a_rejection_can_be_a_result(working):
    execution_id, approval = await asked(working, AFTER, onReject="continue")

    await decide(working, approval, "reject")

    ended = await working.ended(execution_id)
    assert (ended["status"], ended["jobs"][0]["result"]["approved"]) == ("succeeded", False)


@pytest.mark.parametrize(
    ("default", "status", "code"),
    [
        ("approve", "succeeded", None),
        ("reject", "failed", "approval_rejected"),
        ("fail", "failed", "approval_expired"),
    ],
)
async def test_the_default_decides_at_the_deadline(default, status, code, working):
    execution_id, approval = await asked(working, default=default)

    await pass_deadline(working, approval)

    [job] = (await working.ended(execution_id))["jobs"]
    assert (job["status"], (job["error"] or {}).get("code")) == (status, code)
    found = (await working.client.get(f"/api/approvals/{approval['id']}")).json()
    assert (found["how"], found["by"]) == ("deadline", None)
    assert (await decide(working, approval, "approve")).status_code == 409


async def test_a_running_worker_keeps_the_deadline(working):
    execution_id, _ = await asked(working, default="approve", deadline="1s")

    [job] = (await working.ended(execution_id))["jobs"]

    assert (job["status"], job["result"]["how"]) == ("succeeded", "deadline")


async def test_of_many_decisions_at_once_the_first_one_counts(working):
    execution_id, approval = await asked(working)

    responses = await asyncio.gather(
        *(decide(working, approval, ("approve", "reject")[n % 2], {"by": f"Person {n}"}) for n in range(8))
    )

    assert sorted(response.status_code for response in responses) == [200] + [409] * 7
    [winner] = [response.json() for response in responses if response.status_code == 200]
    ended = await working.ended(execution_id)
    events = [event for event in await working.engine.events(UUID(execution_id)) if "approval_decided" in event.type]
    assert [event.data["by"] for event in events] == [winner["by"]]
    assert ended["status"] == ("succeeded" if winner["status"] == "approved" else "failed")


async def test_a_late_decision_before_the_deadline_was_noticed_is_refused(api):
    worker = await api.engine.start_worker()
    _, approval = await asked(api)
    await api.engine.kill_worker(worker)
    async with api.runtime.database.connection() as connection:
        await connection.execute("UPDATE approvals SET deadline = now() - interval '1 second'")

    response = await decide(api, approval, "approve")

    assert (response.status_code, response.json()["code"]) == (409, "invalid_state")


async def test_a_decision_needs_no_worker(api):
    worker = await api.engine.start_worker()
    execution_id, approval = await asked(api)
    await api.engine.kill_worker(worker)

    await decide(api, approval, "approve")

    assert (await api.ended(execution_id))["status"] == "succeeded"


async def test_it_holds_no_slot(api):
    await api.engine.start_worker({"default": 1, "test": 1})
    first, _ = await asked(api)
    second, approval = await asked(api)

    await decide(api, approval, "approve")

    assert (await api.ended(second))["status"] == "succeeded"
    assert (await job_of(api, first))["status"] == "waiting"


async def test_a_cancelled_job_withdraws_its_approval_and_a_retry_asks_again(working):
    execution_id, approval = await asked(working)

    await working.client.post(f"/api/executions/{execution_id}/cancel")

    ended = await working.ended(execution_id)
    assert ended["status"] == "cancelled"
    found = (await working.client.get(f"/api/approvals/{approval['id']}")).json()
    assert (found["status"], found["url"]) == ("withdrawn", None)
    late = await decide(working, approval, "approve")
    assert (late.status_code, "withdrawn" in late.json()["detail"]) == (409, True)
    await working.client.post(f"/api/executions/{execution_id}/retry", json={})
    asked_again = await working.event(execution_id, "job.approval_requested", after=ended["lastEvent"])
    assert asked_again.data["approval"] != approval["id"]
    assert (await decide(working, approval, "approve")).status_code == 409
    await pass_deadline(working, approval)
    assert (await job_of(working, execution_id))["status"] == "waiting"
    assert (await decide(working, {"id": asked_again.data["approval"]}, "approve")).status_code == 200


async def test_the_list_shows_open_approvals_page_by_page(working):
    approvals = [(await asked(working, title=f"Question {n}"))[1] for n in range(3)]
    await decide(working, approvals[0], "approve")

    first = (await working.client.get("/api/approvals", params={"status": "open", "limit": 1})).json()
    more = {"status": "open", "limit": 1, "cursor": first["nextCursor"]}
    second = (await working.client.get("/api/approvals", params=more)).json()

    assert [each["title"] for each in first["approvals"] + second["approvals"]] == ["Question 2", "Question 1"]
    assert second["nextCursor"] is None
    everything = (await working.client.get("/api/approvals")).json()["approvals"]
    assert [each["status"] for each in everything] == ["open", "open", "approved"]
    assert "Question 2" in (await working.client.get("/console/approvals")).text


async def test_the_files_of_other_jobs_are_shown(working):
    plan = [
        ("film", "write", {"name": "poster.png", "text": "x"}),
        ("review", "approve", {"title": "Publish it?", "previews": ["${film.file}"]}),
    ]
    execution_id = await working.submit(*plan)
    event = await working.event(execution_id, "job.approval_requested")

    approval = (await working.client.get(f"/api/approvals/{event.data['approval']}")).json()
    page = (await working.client.get(event.data["url"])).text

    [file] = approval["previews"]
    assert (file["name"], (await working.client.get(file["url"])).text) == ("poster.png", "x")
    assert '<img src="http' in page


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({}, ("executionPlan.jobs[0].params.title", "missing")),
        ({"title": " "}, ("executionPlan.jobs[0].params.title", "string_too_short")),
        ({"title": "x", "deadline": "0.5s"}, ("executionPlan.jobs[0].params.deadline", "value_error")),
        ({"title": "x", "deadline": "91d"}, ("executionPlan.jobs[0].params.deadline", "value_error")),
        ({"title": "x", "default": "yes"}, ("executionPlan.jobs[0].params.default", "literal_error")),
        ({"title": "x", "previews": ["./a.png"]}, ("executionPlan.jobs[0].params.previews[0]", "value_error")),
    ],
)
async def test_bad_params_are_refused_at_submission(params, problem, api):
    plan = {"jobs": [{"id": "review", "operation": "approve", "params": params}]}

    response = await api.client.post("/api/executions", json={"executionPlan": plan})

    assert (response.status_code, codes(response)) == (422, {problem})


@pytest.mark.parametrize("body", [{}, {"by": ""}, {"by": "x" * 201}, {"by": "Mia", "how": "link"}])
async def test_a_bad_decision_changes_nothing(body, working):
    execution_id, approval = await asked(working)

    assert (await decide(working, approval, "approve", body)).status_code == 422
    assert (await job_of(working, execution_id))["status"] == "waiting"


async def test_an_unknown_approval_is_not_found(api):
    for response in (
        await api.client.get(f"/api/approvals/{uuid4()}"),
        await decide(api, {"id": uuid4()}, "approve"),
    ):
        assert response.status_code == 404


# The signed link


@pytest.fixture
async def locked(settings, catalog):
    """A server with an API key and a worker. Its client sends the key only where a test says so."""
    from pydantic import SecretStr

    settings = settings.model_copy(update={"api_key": SecretStr("long-enough-key")})
    async with served(settings, catalog) as api:
        await api.engine.start_worker()
        yield api


async def linked(api):
    """Return the id of an execution that asks, and the link of its event."""
    execution_id = str(
        await api.engine.submit(
            {"jobs": [{"id": "review", "operation": "approve", "params": {"title": "<b>Publish</b>?"}}]}
        )
    )
    event = await api.event(execution_id, "job.approval_requested")
    return execution_id, event.data["url"]


async def test_a_link_decides_without_an_api_key(locked):
    execution_id, url = await linked(locked)

    page = await locked.client.get(url, headers={"Accept": "text/html"})
    assert page.status_code == 200 and "&lt;b&gt;Publish&lt;/b&gt;?" in page.text
    assert urlsplit(url).query.replace("&", "&amp;") in page.text
    assert (await locked.engine.job(UUID(execution_id), "review")).status == "waiting"
    response = await locked.client.post(url, data={"by": " Mia ", "comment": "Good.", "decision": "approve"})

    assert response.status_code == 303
    [job] = (await locked.engine.ended(UUID(execution_id))).jobs
    assert (job.result["by"], job.result["how"], job.result["approved"]) == ("Mia", "link", True)
    assert "Approved by Mia" in (await locked.client.get(response.headers["location"])).text
    again = await locked.client.post(url, data={"by": "Tom", "decision": "reject"})
    assert (again.status_code, "already decided: approved by Mia" in again.text) == (409, True)


@pytest.mark.parametrize("form", [{"by": "Mia"}, {"decision": "approve"}, {"by": "Mia", "decision": "perhaps"}])
async def test_an_incomplete_form_changes_nothing(form, locked):
    execution_id, url = await linked(locked)

    assert (await locked.client.post(url, data=form)).status_code == 422
    assert (await locked.engine.job(UUID(execution_id), "review")).status == "waiting"


async def test_a_link_is_valid_for_its_approval_and_until_its_deadline_only(locked):
    execution_id, url = await linked(locked)
    _, other = await linked(locked)
    key, base, own = locked.runtime.key, url.partition("/approvals/")[0], UUID(urlsplit(url).path.rpartition("/")[2])
    expired = approval_link(key, base, own, datetime.now(UTC) - timedelta(seconds=5))
    foreign = urlsplit(url)._replace(query=urlsplit(other).query).geturl()

    for bad in (url[:-2] + "xx", url.partition("?")[0], expired, foreign, url.replace("expires=", "expires=9")):
        for response in (
            await locked.client.get(bad),
            await locked.client.post(bad, data={"by": "Eve", "decision": "approve"}),
        ):
            assert response.status_code == 401, bad

    assert (await locked.engine.job(UUID(execution_id), "review")).status == "waiting"


async def test_a_link_opens_nothing_else(locked):
    execution_id, url = await linked(locked)
    query = urlsplit(url).query

    for path in (f"/api/executions/{execution_id}", "/api/approvals", urlsplit(url).path.replace("/", "/api/", 1)):
        assert (await locked.client.get(f"{path}?{query}")).status_code == 401


async def test_a_page_of_another_site_cannot_decide(locked):
    execution_id, url = await linked(locked)

    response = await locked.client.post(
        url, data={"by": "Eve", "decision": "approve"}, headers={"Origin": "https://evil.example"}
    )

    assert response.status_code == 403
    assert (await locked.engine.job(UUID(execution_id), "review")).status == "waiting"


async def test_the_console_decides_with_its_token(working):
    execution_id, approval = await asked(working)
    path = f"/console/approvals/{approval['id']}"
    execution_page = (await working.client.get(f"/executions/{execution_id}")).text
    page = (await working.client.get(path)).text
    token = page.partition('class="decision"')[2].partition('name="token" value="')[2].partition('"')[0]
    form = {"by": "Mia", "decision": "reject"}

    assert path in execution_page
    assert (await working.client.post(path, data=form)).status_code == 401
    assert (await working.client.post(path, data={**form, "token": token})).status_code == 303

    [job] = (await working.ended(execution_id))["jobs"]
    assert job["error"]["code"] == "approval_rejected"
    assert "Rejected by Mia" in (await working.client.get(path)).text
