"""The HTML pages of the console."""

import asyncio
import json


async def page(api, path):
    response = await api.client.get(path, headers={"Accept": "text/html"})
    assert response.status_code == 200
    return response.text


def token_in(text):
    return text.partition('name="token" value="')[2].partition('"')[0]


async def test_an_empty_list_shows_the_first_command(api):
    assert "callsheet demo" in await page(api, "/executions")


async def test_names_are_escaped(api):
    body = {"executionPlan": {"name": "<script>alert(1)</script>", "jobs": [{"id": "a", "operation": "noop"}]}}
    execution_id = (await api.client.post("/api/executions", json=body)).json()["executionId"]

    for path in ("/executions", f"/executions/{execution_id}"):
        text = await page(api, path)
        assert "&lt;script&gt;alert(1)" in text
        assert "<script>alert" not in text


async def test_the_page_of_an_execution_shows_failed_jobs_errors_and_files(working):
    execution_id = await working.submit(
        ("film", "write", {"name": "poster.png", "text": "x"}), ("broken", "fail", {"message": "the lamp is out"})
    )
    await working.ended(execution_id)

    text = await page(working, f"/executions/{execution_id}")

    assert "Failed: broken." in text
    assert "the lamp is out" in text
    assert '<img src="http' in text
    assert f'action="/executions/{execution_id}/retry"' in text


async def test_the_page_of_an_execution_says_why_a_job_waits(api):
    execution_id = await api.submit(("a", "noop", {}))

    assert "<strong>no_worker</strong>: No worker is running." in await page(api, f"/executions/{execution_id}")


async def test_the_list_warns_of_a_queue_without_workers(api):
    await api.submit(("a", "noop", {}))

    assert "No worker serves the queue “test”; 1 job is queued." in await page(api, "/executions")


async def test_older_executions_are_on_the_next_page(api):
    for _ in range(51):
        await api.submit(("a", "noop", {}))

    first = await page(api, "/executions")
    older = first.partition('href="/executions?before=')[2].partition('"')[0]

    assert first.count("<tr id=") == 50
    assert (await page(api, f"/executions?before={older}")).count("<tr id=") == 1


async def test_a_form_cancels_and_retries(working, tmp_path):
    execution_id = await working.submit(("a", "block", {"until": str(tmp_path / "go")}))
    await working.event(execution_id, "job.running")
    text = await page(working, f"/executions/{execution_id}")

    cancelled = await working.client.post(f"/executions/{execution_id}/cancel", data={"token": token_in(text)})
    await working.ended(execution_id)
    (tmp_path / "go").touch()
    retried = await working.client.post(f"/executions/{execution_id}/retry", data={"token": token_in(text)})

    assert (cancelled.status_code, retried.status_code) == (303, 303)
    assert cancelled.headers["location"] == f"/executions/{execution_id}"
    assert (await working.ended(execution_id))["status"] == "succeeded"


async def test_the_list_stream_sends_changed_rows(working):
    async with working.client.stream("GET", "/console/stream") as response:
        lines = response.aiter_lines()

        async def row_with(text):
            async with asyncio.timeout(15):
                async for line in lines:
                    if line.startswith("data: ") and text in json.loads(line[6:]).get("html", ""):
                        return json.loads(line[6:])["id"]
            raise AssertionError("the stream has ended")

        execution_id = await working.submit(("a", "noop", {}))
        assert await row_with("succeeded") == f"e-{execution_id}"


async def test_the_execution_stream_ends_with_the_execution(working):
    execution_id = await working.submit(("a", "sleep", {"seconds": 0.2}))

    async with working.client.stream("GET", f"/console/stream/{execution_id}") as response:
        lines = [line async for line in response.aiter_lines()]
    last = (await working.ended(execution_id))["lastEvent"]

    assert f"id: {last}" in lines
    assert "event: ended" in lines
    again = await working.client.get(f"/console/stream/{execution_id}", params={"after_event": last})
    assert again.status_code == 204


async def test_pages_load_nothing_from_other_hosts(api):
    response = await api.client.get("/executions")

    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "http" not in response.text.replace(str(api.client.base_url), "")
    for name in ("console.js", "console.css", "icon.svg"):
        static = await api.client.get(f"/static/{name}")
        assert static.status_code == 200
        assert "http://" not in static.text.replace("http://www.w3.org/2000/svg", "")
