"""The editor of plans in a real browser: completion, checks while typing, examples."""

import pytest
from playwright.async_api import expect

from callsheet.operation_api.catalog import discover
from callsheet.ready_plans.example_plans import example_plans

from .test_browser import PHONE, browser, locked, log_in, opened, pytestmark, width_of  # noqa: F401 - fixtures


@pytest.fixture
def catalog():
    """The operations that come with Callsheet."""
    return discover()


async def test_a_plan_is_written_with_completions_and_submitted_by_keyboard(browser, locked):  # noqa: F811
    page, faults = await opened(browser, locked)
    await log_in(page)
    await page.goto("/console/new")
    editor, options = page.get_by_label("Plan, as YAML or JSON"), page.get_by_role("listbox", name="Completions")
    await editor.focus()

    async def typed(text, *keys):
        await page.keyboard.type(text)
        for key in keys:
            await page.keyboard.press(key)

    await typed("jo")
    await expect(options.get_by_role("option").first).to_contain_text("jobs")
    await typed("", "Enter", "Enter")
    await typed("- i")
    await expect(options.get_by_role("option").first).to_contain_text("id")
    await typed("", "Enter")
    await typed("card", "Escape", "Enter")
    await typed("op")
    await expect(options.get_by_role("option").first).to_contain_text("operation")
    await typed("", "Tab")
    await typed("extract-a")
    await expect(options.get_by_role("option").first).to_contain_text("extract-audio")
    await typed("", "Enter", "Enter")
    await typed("par")
    await expect(options.get_by_role("option").first).to_contain_text("params")
    await typed("", "Enter", "Enter")
    await typed("form")
    await expect(options.get_by_role("option").first).to_contain_text("format")
    await typed("", "Enter")
    await expect(options.get_by_role("option", name="wav")).to_be_visible()
    await typed("wav", "Escape", "Enter")
    await typed("", "Escape")

    lines = (await editor.input_value()).split("\n")
    assert [line.rstrip() for line in lines if line.strip()] == [
        *("jobs:", "  - id: card", "    operation: extract-audio", "    params:", "      format: wav")
    ]
    await expect(page.locator("#plan-state")).to_contain_text("1 problem")
    await expect(page.locator("#plan-state")).to_contain_text("src")
    await typed("src: https://example.com/a.mp4", "Escape")
    await expect(page.locator("#plan-state")).to_have_text("No problems. Jobs: 1.")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/executions/*")
    assert faults == []


async def test_names_and_values_of_json_are_completed_with_their_quotes(browser, locked):  # noqa: F811
    page, faults = await opened(browser, locked)
    await log_in(page)
    await page.goto("/console/new")
    editor, options = page.get_by_label("Plan, as YAML or JSON"), page.get_by_role("listbox", name="Completions")
    await editor.focus()

    for text, first in (
        ('{"jo', "jobs"),
        ('[{"id": "a", "op', "operation"),
        ('"extract-a', "extract-audio"),
        (', "params": {"form', "format"),
        ('"wa', "wav"),
        (', "ch', "channels"),
    ):
        await page.keyboard.type(text)
        await expect(options.get_by_role("option").first).to_contain_text(first)
        await page.keyboard.press("Enter")
    # A job of which the operation stands behind its params, and names that are there already.
    await page.keyboard.type('1}}, {"params": {\n}, "operation": "probe"}]}')
    for _ in range(len('\n}, "operation": "probe"}]}')):
        await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("Control+Space")
    await page.keyboard.type('"s')
    await expect(options.get_by_role("option").first).to_contain_text("src")
    await page.keyboard.press("Enter")
    await page.keyboard.type('"https://example.com/a.mp4"')

    assert await editor.input_value() == (
        '{"jobs": [{"id": "a", "operation": "extract-audio", "params": {"format": "wav", "channels": 1}}, '
        '{"params": {"src": "https://example.com/a.mp4"\n}, "operation": "probe"}]}'
    )
    assert faults == []


async def test_problems_are_marked_at_their_lines_and_lead_there(browser, locked):  # noqa: F811
    page, faults = await opened(browser, locked)
    await log_in(page)
    await page.goto("/console/new")
    editor = page.get_by_label("Plan, as YAML or JSON")
    await editor.fill(
        "jobs:\n  - id: a\n    operation: probe\n    params:\n      src: 3\n  - id: a\n    operation: nope\n"
    )

    state = page.locator("#plan-state")
    await expect(state).to_contain_text("problems")
    wrong = page.locator(".lines-of-plan .wrong")
    await expect(wrong.filter(has_text="5")).to_have_count(1)
    await expect(wrong.filter(has_text="7")).to_have_count(1)
    await state.get_by_role("button", name="Line 7").first.click()
    position = await editor.evaluate("(each) => each.value.slice(0, each.selectionStart).split('\\n').length")
    assert position == 7

    await editor.fill("jobs: [")
    await expect(state).to_contain_text("Line ")
    await editor.fill('{"jobs": [{"id": "a", "operation": "probe", "params": {"src": "https://example.com/a.mp4"}}]}')
    await expect(state).to_have_text("No problems. Jobs: 1.")
    await editor.fill("")
    await expect(state).to_be_hidden()
    assert faults == []


async def test_every_example_can_be_the_beginning_on_a_phone(browser, locked):  # noqa: F811
    page, faults = await opened(browser, locked, viewport=PHONE)
    await log_in(page)
    await page.goto("/console/new")
    names = await page.locator("#example option").evaluate_all("(all) => all.map((each) => each.value)")
    assert names == list(example_plans())
    await page.get_by_label("Begin with").select_option("small-steps")
    await page.get_by_role("button", name="Show this example").click()

    editor = page.get_by_label("Plan, as YAML or JSON")
    assert await editor.input_value() == example_plans()["small-steps"].read_text()
    await expect(page.locator("#plan-state")).to_contain_text("No problems")
    assert await width_of(page) == PHONE["width"]
    unknown = await locked.client.get("/console/new?example=../pyproject")
    assert unknown.status_code == 404
    assert faults == []
