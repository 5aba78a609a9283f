"""What people know from other systems: each row of the table in docs/console.md is tried in a real browser."""

import re
from pathlib import Path

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright, expect

from support.console_scene import PASSWORD, USER

from .test_browser import CHROMIUM, pytestmark  # noqa: F401 - the mark of the module
from .test_browser_pages import scene  # noqa: F401 - a fixture

_TIMEOUT = 60_000
_TABLE = re.compile(
    r"^\| (?P<known>[^|]+) \| (?:Bull Board|Flower|Temporal|Trigger\.dev)[^|]*\| [^|]+ \|$", re.MULTILINE
)
ROWS = _TABLE.findall((Path(__file__).parents[3] / "docs/console.md").read_text())
CHECKS = {}
"""What a row says that one knows → the function that tries it. They run in this order, in one scene."""


def row(*known):
    """Register a function for rows of the table."""

    def register(check):
        CHECKS.update(dict.fromkeys(known, check))
        return check

    return register


@row("queues with their counts", "workers of a task queue")
async def _queues(page, scene):  # noqa: F811
    await page.goto("/console/queues")
    await expect(page.locator("#queues-preview")).to_contain_text(re.compile("[1-9] queued"))
    await expect(page.locator("#queues-gpu")).to_contain_text("no worker serves this")
    await expect(page.locator("#queues-light")).to_contain_text("4 slots")
    await page.locator("#queues-preview").get_by_role("link", name="preview", exact=True).click()
    await expect(page.locator("#waiting tr").filter(has_text="sheet")).to_be_visible()


@row("metrics of a queue")
async def _rates(page, scene):  # noqa: F811
    await page.goto("/console/queues")
    await expect(page.locator("#queues-generate")).to_contain_text(
        re.compile(r"[0-9.]+ started, [0-9.]+ ended per minute")
    )
    await expect(page.locator("#queues-generate")).to_contain_text("median up to")


@row("a job with data, options, error and logs", "task with args, result, traceback, worker, times")
async def _job(page, scene):  # noqa: F811
    await page.goto(scene.paths["job clip"])
    await expect(page.get_by_role("heading", name="Log")).to_be_visible()
    await expect(page.locator("main")).to_contain_text("Leaves in the wind")
    await expect(page.locator("p.error")).to_contain_text("content_refused (attempt 1)")
    await page.goto(scene.paths["job film"])
    for text in ("studio-1", "Ended", "of 3 allowed", "a run"):
        await expect(page.locator("main")).to_contain_text(text)
    await expect(page.get_by_role("heading", name="Result")).to_be_visible()


@row("jobs by status, newest first")
async def _jobs(page, scene):  # noqa: F811
    await page.goto("/console/jobs")
    await page.get_by_role("checkbox", name="failed").check()
    await page.get_by_role("button", name="Show").click()
    await page.wait_for_url("**/console/jobs?status=failed*")
    await expect(page.locator("#rows tr")).to_have_count(1)
    await page.locator("#rows").get_by_role("link", name="clip").click()
    await page.wait_for_url("**/jobs/*")


@row("clean jobs of a status")
async def _clean(page, scene):  # noqa: F811
    await page.goto("/")
    await page.get_by_role("link", name="What a clean-up would delete").click()
    await expect(page.locator("main")).to_contain_text("Room gained")
    await expect(page.locator("#orphans")).to_contain_text("2 orphaned files")
    await page.get_by_role("button", name="Delete these files").click()
    await expect(page.locator("#orphans .status")).to_have_text(re.compile("delet(ing|ed)"))
    await page.get_by_role("button", name="Delete them now").click()
    await page.wait_for_url("**/console/schedules/clean-up")


@row("retry all, remove all in a status")
async def _everything(page, scene):  # noqa: F811
    for status, name, heading in (
        ("failed", "Retry all that match…", "Retry 1 execution?"),
        ("running", "Cancel all that match…", re.compile("Cancel [0-9]+ executions?")),
    ):
        await page.goto(f"/executions?status={status}")
        await page.get_by_role("link", name=name).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    await page.goto("/console/queues")
    await page.locator("#queues-generate").get_by_role("link", name="Retry failed…").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Retry 1 execution?")


@row("batch operations", "bulk actions with their status")
async def _bulk(page, scene):  # noqa: F811
    await page.goto("/executions")
    await page.get_by_role("link", name="Bulk actions").click()
    await page.locator("tbody th a").first.click()
    await expect(page.locator("#bulk-state .status")).to_be_visible()


@row("job schedulers")
async def _schedule(page, scene):  # noqa: F811
    await page.goto(scene.paths["schedule"])
    await expect(page.get_by_role("button", name="Run now")).to_be_visible()
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await expect(page.locator("tbody")).to_contain_text("by hand")


@row("retry a job")
async def _retry(page, scene):  # noqa: F811
    await page.goto(scene.paths["execution Autumn trailer"])
    await expect(page.get_by_role("button", name="Retry jobs that did not succeed")).to_be_visible()
    await page.locator("#job-table").get_by_role("button", name="Retry").first.click()
    await expect(page.locator("#events")).to_contain_text("manual retry")


@row("pause and resume a queue", "queue paused, concurrency limit", "global concurrency of a queue")
async def _pause(page, scene):  # noqa: F811
    await page.goto("/console/queues")
    queue = page.locator("#queues-speech")
    await queue.get_by_label("Limit of running jobs of speech").fill("3")
    await queue.get_by_role("button", name="Limit").click()
    await expect(queue.get_by_label("Limit of running jobs of speech")).to_have_value("3")
    await queue.get_by_role("button", name="Pause").click()
    await expect(queue).to_contain_text("paused")
    await queue.get_by_role("button", name="Resume").click()
    await expect(queue).not_to_contain_text("paused")


@row(
    *("flow tree", "event history", "timeline", "relationships, child workflows", "run with its trace"),
)
async def _execution(page, scene):  # noqa: F811
    await page.goto(scene.paths["execution Harbour at dawn"])
    await expect(page.locator("svg .node")).to_have_count(5)
    assert await page.locator("svg .edges").get_attribute("d")
    await expect(page.locator("#timeline svg")).to_have_count(5)
    await expect(page.locator("#events li").first).to_be_visible()
    await expect(page.get_by_role("heading", name="Log")).to_be_visible()
    await page.locator("svg .node").first.click()
    await expect(page.locator("#job-table tbody th")).to_have_count(1)


@row("add a job", "test page")
async def _new(page, scene):  # noqa: F811
    await page.goto("/console/new")
    await page.get_by_label("Operation").select_option("transcode")
    await page.get_by_role("button", name="Show its form").click()
    await expect(page.get_by_label("File for Src")).to_be_visible()
    await page.goto("/console/plans")
    await page.get_by_role("link", name="title-card").click()
    await expect(page.get_by_label("File for Background")).to_be_visible()


@row("replay with an edited payload")
async def _replay(page, scene):  # noqa: F811
    await page.goto(scene.paths["execution A fox in the snow"])
    await page.get_by_role("link", name="Change its plan and run it again").click()
    await expect(page.get_by_label("Plan, as YAML or JSON")).to_have_value(re.compile("A red fox on a snowy clearing"))


@row("read-only mode")
async def _read_only(page, scene):  # noqa: F811
    await scene.post("/api/users", {"name": "bob", "password": PASSWORD, "scopes": ["read"]})
    context = await page.context.browser.new_context(base_url=scene.base_url)
    other = await context.new_page()
    await _log_in(other, "bob")
    await other.goto("/console/queues")
    await expect(other.get_by_text("read only")).to_be_visible()
    await expect(other.locator("#queues-speech").get_by_role("button", name="Pause")).to_be_disabled()
    await context.close()


@row("workers, and what each runs", "grow and shrink a pool", "cancel a consumer, shut down")
async def _workers(page, scene):  # noqa: F811
    await page.goto("/console/workers")
    worker = page.locator("#workers tr").filter(has_text="studio-1")
    await expect(worker).to_contain_text("draw")
    await worker.get_by_label("light").fill("7")
    await worker.get_by_role("button", name="Set slots").click()
    await expect(worker.get_by_label("light")).to_have_value("7")
    await worker.get_by_role("button", name="Reset slots").click()
    await expect(worker.get_by_label("light")).to_have_value("4")
    await expect(worker.get_by_role("button", name="Drain")).to_be_enabled()
    await expect(worker.get_by_role("button", name="Stop")).to_be_enabled()


@row("search of tasks", "list of workflows with filters in the address")
async def _search(page, scene):  # noqa: F811
    await page.goto("/executions")
    await page.get_by_label("Search").fill("fox")
    await page.get_by_role("button", name="Show").click()
    await page.wait_for_url("**/executions?search=fox*")
    await expect(page.locator("#rows tr")).to_have_count(1)
    await page.goto("/executions?errorCode=content_refused")
    await expect(page.locator("[name=errorCode]")).to_have_value("content_refused")
    for name in ("status", "operation", "queue", "createdAfter", "createdBefore"):
        await expect(page.locator(f"form[role=search] [name={name}]")).to_be_visible()
    await page.goto("/console/jobs?errorCode=content_refused")
    await expect(page.locator("#rows tr")).to_have_count(1)
    for name in ("operation", "queue", "errorCode", "execution", "createdAfter", "createdBefore"):
        await expect(page.locator(f"form[role=search] [name={name}]")).to_be_visible()


@row("saved views")
async def _views(page, scene):  # noqa: F811
    await page.goto("/executions?search=fox")
    await page.get_by_text("Saved views").click()
    await page.get_by_label("Name").fill("Foxes")
    await page.get_by_label("for everyone").check()
    await page.get_by_role("button", name="Save these filters").click()
    await page.goto("/executions")
    await page.get_by_text("Saved views (1)").click()
    await page.get_by_role("link", name="Foxes").click()
    await page.wait_for_url("**/executions?search=fox")
    await page.get_by_text("Saved views (1)").click()
    await page.get_by_role("button", name="Delete the view Foxes").click()
    await expect(page.get_by_text("Saved views (1)")).to_have_count(0)


@row("pending activities, and why")
async def _reasons(page, scene):  # noqa: F811
    await page.goto(scene.paths["execution Contact sheet"])
    await expect(page.locator("#job-table")).to_contain_text("queue_paused")
    await page.goto("/")
    await expect(page.locator("#home-waiting")).to_contain_text("queue_paused")
    await page.locator("#home-waiting li").filter(has_text="queue_paused").get_by_role("link").click()
    await expect(page.get_by_role("row", name=re.compile("^sheet"))).to_contain_text("queue_paused")


@row("signal from a person")
async def _signal(page, scene):  # noqa: F811
    await page.goto("/console/approvals")
    await page.get_by_role("link", name="Publish this trailer?").click()
    await page.get_by_label("Your name").fill("Ada")
    await page.get_by_role("button", name="Yes, approve").click()
    await expect(page.get_by_role("status")).to_contain_text("Approved by Ada")


@row("batches")
async def _batch(page, scene):  # noqa: F811
    await page.goto(scene.paths["batch"])
    await expect(page.locator("#rows tr")).to_have_count(3)
    await expect(page.get_by_role("button", name="Cancel the whole batch")).to_be_visible()
    await expect(page.get_by_role("button", name="Retry the whole batch")).to_be_visible()


@row("usage")
async def _usage(page, scene):  # noqa: F811
    await page.goto("/")
    await page.locator("#home-spent .number a").click()
    await expect(page.locator("#spent")).to_be_visible()
    answer = await scene.client.get("/api/costs", params={"by": "execution"})
    assert answer.status_code == 200


@row("promote a job")
async def _promote(page, scene):  # noqa: F811
    await page.goto(scene.paths["queue"])
    sheet = page.locator("#waiting tr").filter(has_text="sheet")
    await sheet.get_by_role("button", name="Run next").click()
    await expect(page.locator("#waiting tr").first).to_contain_text("sheet")
    await sheet.get_by_role("button", name="Hold").click()
    await expect(sheet.locator(".status")).to_have_text("on hold")
    await sheet.get_by_role("button", name="Release").click()
    await expect(sheet.locator(".status")).to_have_text("queued")


@row("revoke or terminate a task")
async def _revoke(page, scene):  # noqa: F811
    await page.goto(scene.paths["execution City at night"])
    await page.locator("#job-table").get_by_role("button", name="Cancel").click()
    await expect(page.locator("#state .status")).to_have_text("cancelled")


@row("empty a queue")
async def _empty(page, scene):  # noqa: F811
    await page.goto("/console/queues")
    await page.locator("#queues-gpu").get_by_role("link", name="Empty…").click()
    await page.get_by_role("button", name=re.compile("Cancel [0-9]+ job")).click()
    await expect(page.locator("#bulk-state .status")).to_be_visible()


@row("remove a job")
async def _delete(page, scene):  # noqa: F811
    path = scene.paths["execution Old cut"]
    await page.goto(path)
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("The execution is deleted")
    assert (await page.goto(path)).status == 404
    await expect(page.locator("main")).to_contain_text("There is no execution")
    # An unfinished execution needs a file of this one.
    await page.goto(scene.paths["execution Harbour at dawn"])
    await page.get_by_role("button", name="Delete").click()
    await expect(page.locator("main")).to_contain_text("still needed by an unfinished execution")
    assert (await page.goto(scene.paths["execution Harbour at dawn"])).status == 200


async def _log_in(page, user):
    await page.goto("/login")
    await page.get_by_label("User").fill(user)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("/")


def test_every_row_of_the_table_has_a_check():
    assert len(ROWS) > 30
    assert sorted(CHECKS) == sorted(ROWS)


async def test_each_row_of_the_table_is_true(scene):  # noqa: F811
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=_TIMEOUT)
        context = await browser.new_context(base_url=scene.base_url)
        context.set_default_timeout(_TIMEOUT)
        expect.set_options(timeout=_TIMEOUT)
        page, faults = await context.new_page(), []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        await _log_in(page, USER)
        for check, known in {check: known for known, check in CHECKS.items()}.items():
            try:
                await check(page, scene)
            except (AssertionError, PlaywrightError) as error:
                faults.append(f"{known}: {error}")
        await browser.close()
    assert faults == [], "\n".join(fault[:1500] for fault in faults)
