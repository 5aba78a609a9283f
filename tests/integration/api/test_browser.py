"""The pages in a real browser: the API description and the console."""

import shutil

import pytest
from playwright.async_api import async_playwright, expect
from pydantic import SecretStr

from .conftest import served

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
KEY = "0123456789abcdef-key"
PHONE = {"width": 390, "height": 800}
_TIMEOUT = 60_000
"""Milliseconds."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture
async def browser():
    expect.set_options(timeout=_TIMEOUT)
    async with async_playwright() as playwright:
        # Containers often run tests as root, where Chromium's own sandbox does not start.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=_TIMEOUT)
        yield browser
        await browser.close()


@pytest.fixture
async def locked(settings, catalog):
    """A server with an API key and without a worker."""
    async with served(settings.model_copy(update={"api_key": SecretStr(KEY)}), catalog) as api:
        api.client.headers["Authorization"] = f"Bearer {KEY}"
        yield api


async def opened(browser, api, **options):
    """Return a new page, and the list of its errors: failed scripts, rejected requests, and other servers."""
    context = await browser.new_context(base_url=str(api.client.base_url), **options)
    context.set_default_timeout(_TIMEOUT)
    page, faults = await context.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: message.type == "error" and faults.append(message.text))
    page.on(
        "request",
        lambda request: (
            request.url.startswith((str(api.client.base_url), "data:", "blob:")) or faults.append(request.url)
        ),
    )
    return page, faults


async def log_in(page):
    await page.goto("/login")
    await page.get_by_label("API key").fill(KEY)
    await page.get_by_role("button", name="Use the key").click()
    await page.wait_for_url("/")


async def width_of(page):
    return await page.evaluate("document.documentElement.scrollWidth")


async def _drawn_routes(page):
    """Scroll through a page, and return the ids of all routes that it draws."""
    found, top = set(), 0
    while top < await page.evaluate("document.body.scrollHeight"):
        found |= set(await _routes_in_view(page, top))
        top += 300
    return found


async def _scroll_to(page, route):
    top = 0
    while route not in await _routes_in_view(page, top):
        top += 300


async def _routes_in_view(page, top):
    await page.evaluate(f"window.scrollTo(0, {top})")
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    return await page.evaluate("[...document.querySelectorAll('.opblock')].map((each) => each.id)")


async def test_the_api_description_lists_every_route_and_sends_requests(browser, api):
    document = (await api.client.get("/openapi.json")).json()
    described = [method for part in ("paths", "webhooks") for path in document[part].values() for method in path]
    page, faults = await opened(browser, api)

    await page.goto("/docs")
    await expect(page.locator(".opblock").first).to_be_visible()
    # Swagger UI draws only those parts of a long document that are in view.
    drawn = await _drawn_routes(page)
    assert len(drawn) == len(described)
    await _scroll_to(page, "operations-queues-listQueues")
    route = page.locator("#operations-queues-listQueues")
    await route.locator(".opblock-summary-control").click()
    await route.get_by_role("button", name="Try it out").click()
    await route.get_by_role("button", name="Execute").click()

    await expect(route.locator(".live-responses-table tbody .response-col_status")).to_contain_text("200")
    await expect(route.locator(".live-responses-table")).to_contain_text('"queues"')
    assert faults == []


async def test_an_open_page_shows_the_progress_of_a_job_until_its_end(browser, api, tmp_path):
    execution_id = await api.submit(("film", "block", {"until": str(tmp_path / "end")}))
    page, faults = await opened(browser, api)
    await page.goto(f"/executions/{execution_id}")
    job = page.locator("#job-table tbody tr").first
    await expect(job.locator(".status")).to_have_text("queued")
    await page.evaluate("window.notReloaded = true")

    await api.engine.start_worker()
    await expect(job.locator(".status")).to_have_text("running")
    (tmp_path / "end").touch()

    await expect(job.locator(".status")).to_have_text("succeeded")
    await expect(page.locator("svg .node")).to_have_class("node succeeded")
    await expect(page.locator("#state .status")).to_have_text("succeeded")
    await expect(page).to_have_title("Execution · succeeded · Callsheet")
    assert await page.evaluate("window.notReloaded")
    assert faults == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_pages_fit_a_phone_in_both_themes(browser, locked, theme):
    await locked.engine.start_worker()
    execution_id = await locked.submit(
        ("a-job-with-a-very-long-name-0123456789-abcdefghijklmnopqrstuvwx", "fail", {"message": "no-space" * 40}),
        ("poster", "write", {"name": "a-file-with-a-very-long-name-" * 3 + ".txt", "text": "x"}),
    )
    await locked.ended(execution_id)
    page, faults = await opened(browser, locked, viewport=PHONE, color_scheme=theme)

    await log_in(page)
    for path, content in (
        ("/login", "form.login"),
        ("/executions", "#list tbody tr"),
        (f"/executions/{execution_id}", ".error"),
        ("/docs", ".opblock"),
    ):
        await page.goto(path)
        await page.locator(content).first.wait_for()
        background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(int(part) for part in background.strip("rgba()").split(",")[:3]) / 3
        assert await width_of(page) == PHONE["width"], path
        assert (brightness < 60) == (theme == "dark"), (path, background)
    assert faults == []


async def test_all_pages_fit_a_phone_and_a_desk_without_errors(browser, working):
    plan = [
        {"id": "poster", "operation": "write", "params": {"name": "a-very-long-name-" * 5 + ".txt", "text": "x"}},
        *(
            {"id": f"part-{n}-of-a-long-name-0123456789", "operation": "noop", "dependsOn": ["poster"]}
            for n in range(6)
        ),
        {"id": "end", "operation": "fail", "params": {"message": "no-space" * 40}, "dependsOn": ["poster"]},
    ]
    submitted = await working.client.post("/api/executions", json={"executionPlan": {"jobs": plan}})
    execution_id = submitted.json()["executionId"]
    await working.ended(execution_id)
    receiver = {"url": f"https://example.com/{'long' * 60}", "description": "d" * 150}
    endpoint = (await working.client.post("/api/webhook-endpoints", json=receiver)).json()["id"]
    delivery = (await working.client.post(f"/api/webhook-endpoints/{endpoint}/test")).json()["id"]
    page, faults = await opened(browser, working)

    for width in (390, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        for path in (
            *("/", "/executions?status=failed&search=x", "/executions", f"/executions/{execution_id}"),
            *("/console/approvals", "/console/artifacts", "/console/winners", "/console/queues", "/console/workers"),
            "/console/providers",
            *("/console/intakes", "/console/webhooks", f"/console/webhooks/deliveries/{delivery}"),
        ):
            await page.goto(path)
            await expect(page.locator("main h1")).to_be_visible()
            assert await width_of(page) == width, path
    assert faults == []
