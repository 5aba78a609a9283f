"""The list of jobs in the console: filters in its URL, reasons, pages, saved views, and its event stream."""

import asyncio
import json
import re

from .test_console import page, token_in


async def test_filters_in_the_url_and_in_the_api_find_the_same_jobs(working):
    film = await working.submit(("film", "fail", {"message": "x"}), ("cut", "noop", {}))
    other = await working.submit(("other", "noop", {}))
    code = next(job["error"]["code"] for job in (await working.ended(film))["jobs"] if job["error"])
    await working.ended(other)

    async def shown(query):
        text = await page(working, f"/console/jobs?{query}")
        listed = (await working.client.get(f"/api/jobs?{query.replace('errorCode=&', '')}")).json()["jobs"]
        rows = re.findall('<tr id="job-([^"]+)">', text)
        assert [job["id"] for job in listed] == rows, query
        return {job["jobId"] for job in listed}

    assert await shown("operation=fail") == {"film"}
    assert await shown("status=failed") == {"film"}
    assert await shown("status=failed&status=succeeded") == {"film", "cut", "other"}
    assert await shown(f"errorCode={code}&queue=test") == {"film"}
    assert await shown(f"errorCode=&execution={film}&operation=noop") == {"cut"}
    assert await shown("createdAfter=2020-01-01T00:00Z") == {"film", "cut", "other"}
    assert await shown("createdBefore=2020-01-01T00:00Z") == set()
    everything = await page(working, "/console/jobs?operation=&queue=&errorCode=&execution=&createdAfter=")
    assert everything.count('<tr id="job-') == 3
    assert f'href="/executions/{film}"' in everything
    wrong = await working.client.get("/console/jobs?execution=film", headers={"Accept": "text/html"})
    assert wrong.status_code == 422


async def test_the_chosen_filters_stay_in_the_form_also_several_statuses_and_names_that_are_gone(api):
    text = await page(api, "/console/jobs?status=failed&status=queued&operation=gone&errorCode=%3Cb%3E")

    assert re.findall('value="([a-z]+)" checked', text) == ["queued", "failed"]
    assert "<option selected>gone</option>" in text
    assert 'name="errorCode" value="&lt;b&gt;"' in text
    assert "No job matches." in text


async def test_a_row_says_why_a_job_waits_or_failed(working):
    failed = await working.submit(("film", "fail", {"message": "the <i>lamp</i> is out"}))
    await working.ended(failed)
    await working.client.patch("/api/queues/test", json={"paused": True})
    await working.submit(("late", "noop", {}))

    text = await page(working, "/console/jobs")

    assert "the &lt;i&gt;lamp&lt;/i&gt; is out" in text
    assert "<code>queue_paused</code>" in text
    [job] = (await working.client.get(f"/api/jobs?execution={failed}")).json()["jobs"]
    assert f'<a href="/jobs/{job["id"]}">film</a>' in text


async def test_older_jobs_are_on_the_next_page_which_keeps_the_filters(api):
    await api.submit(*((f"j{number}", "noop", {}) for number in range(51)))

    first = await page(api, "/console/jobs?operation=noop")
    older = first.partition('href="/console/jobs?operation=noop&amp;before=')[2].partition('"')[0]
    second = await page(api, f"/console/jobs?operation=noop&before={older}")

    assert (first.count('<tr id="job-'), second.count('<tr id="job-')) == (50, 1)
    assert "data-stream" in first and "data-stream" not in second
    assert 'href="/console/jobs?operation=noop">Newest</a>' in second


async def test_everything_with_an_error_code_leads_to_the_bulk_action_on_its_executions(working):
    failed = await working.submit(("film", "fail", {"message": "x"}))
    code = (await working.ended(failed))["jobs"][0]["error"]["code"]

    text = await page(working, f"/console/jobs?status=failed&errorCode={code}&queue=test")
    [link] = re.findall('href="(/console/bulk-actions/new[^"]+)"', text)

    assert "Retry 1 execution?" in await page(working, link.replace("&amp;", "&"))
    for query in ("", "status=failed", f"errorCode={code}&createdAfter=2020-01-01T00:00", "errorCode=x&status=queued"):
        assert "/console/bulk-actions/new" not in await page(working, f"/console/jobs?{query}"), query


async def test_views_of_jobs_are_saved_shown_and_deleted_apart_from_those_of_executions(api):
    text = await page(api, "/console/jobs?status=failed&status=waiting&operation=noop&execution=")
    [action] = re.findall('action="(/console/views/jobs[?][^"]*)"', text)
    data = {"token": token_in(text), "name": "Mine"}
    saved = await api.client.post(action.replace("&amp;", "&"), data=data)
    [view] = (await api.client.get("/api/views")).json()["views"]

    assert (view["list"], view["filter"]) == ("jobs", {"status": ["failed", "waiting"], "operation": "noop"})
    assert 'aria-current="true">Mine</a>' in await page(api, saved.headers["location"])
    assert "Mine" not in await page(api, "/executions")

    deleted = await api.client.post("/console/views/jobs/delete", data=data)
    assert deleted.headers["location"] == "/console/jobs"
    assert (await api.client.get("/api/views")).json()["views"] == []


async def test_the_stream_sends_changed_rows_removes_those_that_no_longer_match_and_names_their_order(working):
    await working.client.patch("/api/queues/test", json={"paused": True})
    execution = await working.submit(("a", "noop", {}), ("b", "noop", {}))
    listed = (await working.client.get(f"/api/jobs?execution={execution}")).json()["jobs"]
    ids = [f"job-{job['id']}" for job in listed]

    async with working.client.stream("GET", "/console/jobs/stream?status=queued") as response, asyncio.timeout(30):
        messages = (json.loads(line[6:]) async for line in response.aiter_lines() if line.startswith("data: "))
        first = [await anext(messages) for _ in range(3)]
        await working.client.post(f"/api/jobs/{listed[0]['id']}/cancel")
        gone = await anext(messages)

    # The newest comes last, because each one is added above the others.
    assert [each.get("id") for each in first[:2]] == ids[::-1]
    assert first[2] == {"in": "rows", "order": ids}
    assert gone == {"id": ids[0], "html": ""}
