"""What operators do in the console, in a real browser."""

import pytest
from playwright.async_api import expect

from .test_browser import CHROMIUM, PHONE, browser, opened, width_of

__all__ = ["browser"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


async def test_all_executions_that_match_are_cancelled_after_a_question_with_their_number(browser, working):
    await working.client.patch("/api/queues/test", json={"paused": True})
    for _ in range(12):
        await working.submit(("film", "noop", {}))
    other = await working.submit(("other", "sleep", {"seconds": 1}))
    page, faults = await opened(browser, working)

    await page.goto("/executions?operation=noop")
    await page.get_by_role("link", name="Cancel all that match…").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Cancel 12 executions?")
    await page.get_by_role("button", name="Cancel 12 executions").press("Enter")

    await expect(page.locator("#bulk-state .status")).to_have_text("finished")
    await expect(page.locator("#bulk-state .lead")).to_contain_text("12 of 12 executions")
    listed = (await working.client.get("/api/executions?status=queued")).json()["executions"]
    assert [each["executionId"] for each in listed] == [other]
    assert faults == []


async def test_the_pages_of_bulk_actions_fit_a_phone(browser, api):
    await api.submit(("film", "noop", {}))
    body = {"action": "cancel", "filter": {"search": "a-very-long-text-" * 10}}
    action = (await api.client.post("/api/bulk-actions", json=body)).json()
    page, faults = await opened(browser, api, viewport=PHONE)

    for path in ("", "/new?action=cancel&operation=noop", f"/{action['id']}"):
        await page.goto(f"/console/bulk-actions{path}")
        await page.get_by_role("heading", level=1).wait_for()
        assert await width_of(page) == PHONE["width"], path
    assert faults == []


async def test_a_job_is_held_and_released_beside_its_plan_and_in_its_queue(browser, api):
    execution_id = await api.submit(("film", "noop", {}))
    page, faults = await opened(browser, api)

    await page.goto(f"/executions/{execution_id}")
    await page.get_by_role("button", name="Hold").click()
    await expect(page.locator("#job-table")).to_contain_text("It has been on hold since")
    await page.goto("/console/queues")
    await page.get_by_role("link", name="test").click()
    await expect(page.locator("#waiting .status")).to_have_text("on hold")
    await page.get_by_role("button", name="Release").press("Enter")

    await expect(page.locator("#waiting .status")).to_have_text("queued")
    await page.goto(f"/executions/{execution_id}")
    await page.get_by_text("Queue, priority, start").click()
    await page.get_by_label("Start (UTC)").fill("2999-12-31T10:00")
    await page.get_by_role("button", name="Start later").click()
    await expect(page.locator("#job-table")).to_contain_text("It is to start at")
    assert faults == []
