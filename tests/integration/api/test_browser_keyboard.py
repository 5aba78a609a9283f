"""The whole way through the console by keyboard alone: each step is a key, and each focus can be seen."""

import asyncio

from playwright.async_api import async_playwright, expect

from callsheet.engine.reads.queues import list_queues
from support.console_scene import PASSWORD, USER

from .test_browser import CHROMIUM, pytestmark  # noqa: F401 - the mark of the module
from .test_browser_pages import scene  # noqa: F401 - a fixture

_TIMEOUT = 60_000
_MOST_STOPS = 250
"""Stops of the Tab key on a page."""
_FOCUSED = """() => {
  const each = document.activeElement;
  const style = getComputedStyle(each);
  const name = each.getAttribute("aria-label") ?? each.labels?.[0]?.textContent ?? each.textContent;
  const seen = style.outlineStyle !== "none" || ["VIDEO", "AUDIO", "BODY"].includes(each.tagName);
  return [each.tagName.toLowerCase(), name.trim().replace(/\\s+/g, " "), seen];
}"""


async def tab_to(page, tag, name):
    """Press Tab until an element has the focus."""
    stops = []
    for _ in range(_MOST_STOPS):
        await page.keyboard.press("Tab")
        found, text, is_seen = await page.evaluate(_FOCUSED)
        stops.append(f"{found} {text[:30]}")
        assert is_seen, f"the focus of {stops[-1]} cannot be seen"
        if (found, name in text) == (tag, True):
            return
    raise AssertionError(f"no {tag} “{name}” among {stops}")


async def follow(page, name):
    await tab_to(page, "a", name)
    await page.keyboard.press("Enter")


async def test_a_person_without_a_mouse_signs_in_submits_watches_plays_cancels_retries_and_pauses(
    scene,  # noqa: F811
    tmp_path,
):
    clip = tmp_path / "clip.mp4"
    film = (await scene.engine.job(scene.executions["Harbour at dawn"], "film")).result["video"]
    answer = await scene.client.get(film["url"])
    await asyncio.to_thread(clip.write_bytes, answer.content)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=_TIMEOUT)
        page = await browser.new_page(base_url=scene.base_url)
        page.set_default_timeout(_TIMEOUT)
        expect.set_options(timeout=_TIMEOUT)
        # A person presses Enter in the question of the browser.
        page.on("dialog", lambda dialog: dialog.accept())
        # Choosers are caught from the start: the browser does not order the request to catch them and the next key.
        page.on("filechooser", lambda _: None)
        await _sign_in(page)
        await _submit_with_an_upload(page, clip)
        await _watch_and_play(page)
        await _cancel_and_retry(page)
        await _pause_a_queue(page)
        await browser.close()
    queues = await list_queues(scene.engine.runtime.database, scene.engine.runtime.catalog)
    assert next(queue.paused for queue in queues if queue.name == "gpu")


async def _sign_in(page):
    await page.goto("/executions")
    await page.keyboard.type(USER)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Executions")).to_be_visible()


async def _submit_with_an_upload(page, clip):
    await page.keyboard.press("Tab")
    assert (await page.evaluate(_FOCUSED))[1] == "Skip to content"
    await follow(page, "New")
    await expect(page.get_by_role("heading", name="New execution")).to_be_visible()
    await tab_to(page, "select", "Operation")
    await page.keyboard.type("transc")
    await tab_to(page, "button", "Show its form")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console/new?operation=transcode")
    await tab_to(page, "input", "File for Src")
    async with page.expect_file_chooser() as chooser:
        await page.keyboard.press("Enter")
    await (await chooser.value).set_files(clip)
    await expect(page.get_by_text("clip.mp4 is uploaded.")).to_be_visible()
    await tab_to(page, "button", "Submit")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/executions/*")


async def _watch_and_play(page):
    await expect(page.locator("#state .status")).to_have_text("succeeded")
    await expect(page.locator("svg .node")).to_have_class("node succeeded")
    await tab_to(page, "video", "")
    await page.keyboard.press("Space")
    async with asyncio.timeout(30):
        while not await page.evaluate("document.querySelector('video').currentTime > 0.2"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # sleep: between two looks at the player


async def _cancel_and_retry(page):
    await page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    await follow(page, "Executions")
    await expect(page.get_by_role("heading", name="Executions")).to_be_visible()
    await follow(page, "Large poster")
    await expect(page.get_by_role("heading", name="Large poster")).to_be_visible()
    await tab_to(page, "button", "Cancel")
    await page.keyboard.press("Enter")
    await expect(page.locator("#state .status")).to_have_text("cancelled")
    await tab_to(page, "button", "Retry")
    await page.keyboard.press("Enter")
    await expect(page.locator("#job-table .status").first).to_have_text("queued")


async def _pause_a_queue(page):
    await follow(page, "Queues")
    await expect(page.get_by_role("heading", name="Queues")).to_be_visible()
    await tab_to(page, "a", "gpu")
    await tab_to(page, "button", "Pause")
    await page.keyboard.press("Enter")
    await expect(page.locator("#queues-gpu")).to_contain_text("paused")
