"""Forms of the console: stored plans, operations and plans."""

import html
from decimal import Decimal

import pytest

from callsheet.operation_api.catalog import Catalog, discover
from callsheet.ready_plans import ready_plans
from callsheet.testing.operations import ALL

from .test_console import page, token_in
from .test_stored_plans import CARD, push

OPERATIONS = discover(()).operations()


@pytest.fixture
def catalog():
    return Catalog([*ALL, *OPERATIONS])


async def post(api, path, **form):
    token = token_in((await api.client.get(path)).text)
    return await api.client.post(
        path, data={"token": token, **{name.replace("__", "."): v for name, v in form.items()}}
    )


def part_of(text, key):
    """Return the part of a page with the field of this name."""
    return next(part for part in text.split('<div class="field')[1:] if f'name="{key}"' in part)


async def execution_of(api, response):
    assert response.status_code == 303, response.text
    path = response.headers["location"]
    assert path.startswith("/executions/")
    return (await api.client.get(f"/api{path}")).json()


async def test_every_plan_has_a_form(api):
    await push(api)
    listed = await page(api, "/console/plans")

    for name, inputs in {"card": CARD["inputs"], **{n: p.inputs for n, p in ready_plans().items()}}.items():
        assert f'href="/console/plans/{name}"' in listed
        text = await page(api, f"/console/plans/{name}")
        assert [each for each in inputs if f'name="field.{each}"' not in text] == []


async def test_every_operation_has_a_form(api):
    listed = await page(api, "/console/new")

    for operation in OPERATIONS:
        assert f">{operation.name}</option>" in listed
        text = await page(api, f"/console/new?operation={operation.name}")
        names = operation.params.model_json_schema()["properties"]
        assert [name for name in names if f'name="field.{name}"' not in text] == []


async def test_a_form_runs_the_plan_with_its_values(api):
    await push(api)

    response = await post(api, "/console/plans/card", field__text="two\r\nlines", field__count="3")

    execution = await execution_of(api, response)
    assert (execution["planName"], execution["planVersion"]) == ("card", 1)
    assert execution["inputs"] == {"text": "two\nlines", "count": 3}


async def test_a_form_runs_the_version_that_it_shows(api):
    await push(api)
    text = await page(api, "/console/plans/card")
    action = html.unescape(text.partition('class="fields" method="post" action="')[2].partition('"')[0])
    await push(api, plan={**CARD, "description": "newer"})

    response = await api.client.post(action, data={"token": token_in(text), "field.text": "a"})

    assert (await execution_of(api, response))["planVersion"] == 1


async def test_all_problems_are_beside_their_fields_and_values_are_kept(api):
    await push(api, plan={**CARD, "inputs": {**CARD["inputs"], "more": {"type": "object", "default": {}}}})

    response = await post(
        api, "/console/plans/card", field__text="<b>" + "x" * 20, field__count="0", field__more="{broken"
    )

    assert response.status_code == 422
    text, count, more = (part_of(response.text, f"field.{name}") for name in ("text", "count", "more"))
    assert "must have at most 20 characters; got 23" in text and "&lt;b&gt;xxx" in text
    assert "must be at least 1; got 0" in count and 'value="0"' in count
    assert "not JSON" in more and "{broken" in more
    assert "<b>" not in response.text
    missing = await post(api, "/console/plans/card", field__count="2", field__more="{}")
    assert "is required" in part_of(missing.text, "field.text")
    assert 'class="error"' not in part_of(missing.text, "field.count")


async def test_a_form_submits_a_job_of_an_operation(api):
    response = await post(
        api, "/console/new?operation=write", field__name="other.txt", field__text="a", field__unknown="x"
    )

    [job] = (await execution_of(api, response))["jobs"]
    assert (job["operation"], job["params"]["name"], job["params"]["text"]) == ("write", "other.txt", "a")


async def test_wrong_params_come_back_beside_their_fields(api):
    response = await post(api, "/console/new?operation=extract-audio", field__channels="5", field__sampleRate="16000")

    assert response.status_code == 422
    assert "required" in part_of(response.text, "field.src").partition('class="error"')[2].lower()
    assert 'class="error"' in part_of(response.text, "field.channels")
    kept = part_of(response.text, "field.sampleRate")
    assert 'class="error"' not in kept and 'value="16000"' in kept


async def test_a_plan_is_checked_with_all_problems_and_submitted(api):
    bad = "jobs:\n  - {id: a, operation: nope}\n  - {id: a b, operation: noop}\n"
    good = "jobs: [{id: a, operation: noop}]"

    checked = await post(api, "/console/new", plan=bad, action="check")
    assert checked.status_code == 200
    assert "2 problems:" in checked.text and "line 2" in checked.text and "line 3" in checked.text
    assert "{id: a b, operation: noop}" in checked.text
    assert "no problems" in (await post(api, "/console/new", plan=good, action="check")).text
    assert (await post(api, "/console/new", plan="", action="check")).text.count("the body is empty") == 1
    assert (await api.client.get("/api/executions")).json()["executions"] == []

    assert (await post(api, "/console/new", plan=bad, action="submit")).status_code == 422
    response = await post(api, "/console/new", plan=good, action="submit")
    assert [job["jobId"] for job in (await execution_of(api, response))["jobs"]] == ["a"]


@pytest.mark.parametrize("path", ["/console/plans/product-loop", "/console/new", "/console/new?operation=noop"])
async def test_a_form_without_its_token_is_refused(path, api):
    for data in ({}, {"token": "x" * 64, "plan": "jobs: [{id: a, operation: noop}]"}):
        assert (await api.client.post(path, data=data)).status_code == 401
    assert (await api.client.get("/api/executions")).json()["executions"] == []


@pytest.mark.parametrize("text", ["\0", "${a.b}", "[" * 5000, "9" * 5000, "NaN", "1e999", "\x7f\u2028"])
async def test_hostile_values_are_refused_or_kept_as_they_are(text, api):
    await push(api, plan={**CARD, "inputs": {"text": {}, "count": {"type": "array"}}})

    for response in (
        await post(api, "/console/plans/card", field__text=text, field__count=text),
        await post(api, "/console/new?operation=extract-audio", field__src=text, field__start=text),
        await post(api, "/console/new", plan=text),
    ):
        assert response.status_code in (303, 422), response.text


async def test_unknown_plans_and_operations_are_not_found(api):
    for path in ("/console/plans/nope", "/console/plans/%00", "/console/plans/a?version=3", "/console/new?operation=x"):
        assert (await api.client.get(path, headers={"Accept": "text/html"})).status_code == 404


async def test_a_plan_beyond_the_budget_is_refused_and_kept(served_with):
    plan = "jobs: [{id: a, operation: generate, params: {modelId: black-forest-labs/flux-1.1-pro, prompt: x}}]"
    async with served_with(monthly_budget=Decimal("0.001")) as api:
        assert "Estimated cost at providers" in (await post(api, "/console/new", plan=plan, action="check")).text
        refused = await post(api, "/console/new", plan=plan, action="submit")

    assert refused.status_code == 402
    assert "budget" in refused.text and "flux-1.1-pro" in refused.text
