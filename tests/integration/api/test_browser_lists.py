"""Open lists in a real browser: rows come, go and stay in their order."""

from playwright.async_api import expect

from .test_browser import browser, opened, pytestmark  # noqa: F401 - a fixture, and the mark of the module


async def test_an_open_list_of_jobs_keeps_its_order_when_others_come_and_go(browser, api):  # noqa: F811
    await api.client.patch("/api/queues/test", json={"paused": True})
    await api.submit(*((f"j{number}", "noop", {}) for number in range(52)))
    jobs = (await api.client.get("/api/jobs", params={"status": "queued", "limit": 52})).json()["jobs"]
    page, faults = await opened(browser, api)
    await page.goto("/console/jobs?status=queued")
    rows = page.locator("#rows tr")
    await expect(rows).to_have_count(50)
    await expect(rows.last).to_contain_text(jobs[49]["jobId"])

    # An older one takes the place of one that no longer matches, at the end.
    await api.client.post(f"/api/jobs/{jobs[10]['id']}/cancel")
    await expect(rows.last.locator("th a")).to_have_text(jobs[50]["jobId"])
    await expect(rows.first.locator("th a")).to_have_text(jobs[0]["jobId"])
    await expect(rows).to_have_count(50)

    # Two new ones at once come first, the newest above the other, and push two out of the page.
    await api.submit(("x", "noop", {}), ("y", "noop", {}))
    newest = (await api.client.get("/api/jobs", params={"status": "queued", "limit": 50})).json()["jobs"]
    await expect(rows.first.locator("th a")).to_have_text(newest[0]["jobId"])
    await expect(rows).to_have_count(50)
    assert await rows.locator("th a").all_inner_texts() == [job["jobId"] for job in newest]
    await expect(page.locator("thead th").first).to_have_text("Job")
    assert faults == []


async def test_the_events_of_an_open_execution_are_newest_first_like_those_of_its_page_when_loaded(browser, working):  # noqa: F811
    page, faults = await opened(browser, working)
    execution = await working.submit(("a", "sleep", {"seconds": 1}), ("b", "noop", {}))
    await page.goto(f"/executions/{execution}")
    await working.ended(execution)
    await expect(page.locator("#state .status")).to_have_text("succeeded")
    await expect(page.locator("#events li").first).to_contain_text("execution.succeeded")
    live = await page.locator("#events li").evaluate_all("(all) => all.map((each) => each.id)")
    await page.reload()

    assert live == await page.locator("#events li").evaluate_all("(all) => all.map((each) => each.id)")
    assert faults == []
