"""The forms of the console in a real browser."""

import asyncio
import hashlib

from playwright.async_api import expect

from .test_browser import PHONE, browser, locked, log_in, opened, pytestmark, width_of  # noqa: F401 - fixtures

PLAN = {
    "name": "${inputs.title}",
    "inputs": {
        "clip": {"type": "file", "description": "a-long-word-" * 12},
        "title": {"maxLength": 40},
        "seconds": {"type": "number", "default": 3, "minimum": 1, "maximum": 9, "unit": "s"},
        "notes": {"maxLength": 900, "default": ""},
        "fit": {"enum": ["cover", "a-choice-" * 12], "default": "cover"},
        "loud": {"type": "boolean", "default": False},
        "tags": {"type": "array", "default": []},
    },
    "jobs": [{"id": "a", "operation": "noop", "params": {"value": ["${inputs.clip}", "${inputs.loud}"]}}],
}


async def test_a_plan_is_run_with_an_uploaded_file_on_a_phone(browser, locked, tmp_path):  # noqa: F811
    await locked.client.post("/api/plans", json={"name": "card", "plan": PLAN})
    clip = tmp_path / "clip.txt"
    await asyncio.to_thread(clip.write_bytes, bytes(range(256)) * 300)
    digest = hashlib.sha256(bytes(range(256)) * 300).hexdigest()
    page, faults = await opened(browser, locked, viewport=PHONE)
    await log_in(page)

    await page.goto("/console/new?operation=noop")
    await expect(page.get_by_role("button", name="Submit")).to_be_visible()
    assert await width_of(page) == PHONE["width"]
    await page.get_by_role("link", name="Plans").click()
    await expect(page.get_by_role("heading", name="Plans")).to_be_visible()
    assert await width_of(page) == PHONE["width"]
    await page.get_by_role("link", name="card").click()
    await page.get_by_label("Title").fill("A card")
    await page.get_by_label("Loud").check()
    dropped = await page.evaluate_handle(
        "() => { const data = new DataTransfer(); data.items.add(new File(['x'], 'dropped.txt')); return data; }"
    )
    await page.locator(".upload").dispatch_event("drop", {"dataTransfer": dropped})
    await expect(page.get_by_text("dropped.txt is uploaded.")).to_be_visible()
    await page.get_by_label("File for Clip").set_input_files(clip)
    await expect(page.get_by_text("clip.txt is uploaded.")).to_be_visible()
    assert digest in await page.locator("[name='field.clip']").input_value()
    assert await width_of(page) == PHONE["width"]
    await page.get_by_role("button", name="Run").click()

    await page.wait_for_url("**/executions/*")
    await expect(page.get_by_role("heading", name="A card")).to_be_visible()
    execution = (await locked.client.get("/api/executions?plan=card")).json()["executions"][0]
    inputs = (await locked.client.get(f"/api/executions/{execution['executionId']}")).json()["inputs"]
    assert (inputs["title"], inputs["loud"], digest in inputs["clip"]) == ("A card", True, True)
    assert faults == []
