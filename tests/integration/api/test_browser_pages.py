"""Every page of the console in a real browser, with data: accessible, without errors and sideways scrolling."""

import asyncio
import re

import pytest
from playwright.async_api import async_playwright, expect

from callsheet import console
from support import node
from support.console_scene import PASSWORD, USER, running_scene

from .test_browser import CHROMIUM, pytestmark  # noqa: F401 - the mark of the module

WIDTHS = (390, 768, 1280, 1920)
_TIMEOUT = 60_000
"""Milliseconds."""
_SIDEWAYS = """() => {
  const boxes = [...document.querySelectorAll(".scroll:not(.graph):not(.kept)")];
  const wide = boxes.filter((box) => box.scrollWidth > box.clientWidth + 1);
  return [document.documentElement.scrollWidth, wide.map((box) => box.textContent.trim().slice(0, 60))];
}"""
_ONLY_COLORS = 'runOnly: ["color-contrast"]'
_AXE = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"], %s });
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
}"""


def page_routes():
    """Return the paths of all pages, as in the routes: each GET route of the console that answers with a page.

    That is not so for event streams, and for the way to a sign-in provider, which `test_oidc` walks.
    """
    routes = [route.path for router in console.ROUTERS for route in router.routes if "GET" in route.methods]
    return sorted(path for path in routes if not re.search(r"/stream\b|/oidc\b", path))


def addresses(scene):
    """Return the addresses to open for each route: those of the scene that match it, or its own path."""
    known = ["/", "/docs", "/login", *scene.paths.values()]
    found = {}
    for route in page_routes():
        pattern = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", route))
        found[route] = [each for each in known if pattern.fullmatch(each.partition("?")[0])]
        if "{" not in route and not found[route]:
            found[route] = [route]
    return found


@pytest.fixture
async def scene(settings):
    async with running_scene(settings) as scene:
        yield scene


@pytest.fixture
async def context(scene):
    """A browser whose person is logged in."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=_TIMEOUT)
        context = await browser.new_context(base_url=scene.base_url)
        context.set_default_timeout(_TIMEOUT)
        page = await context.new_page()
        await page.goto("/login")
        await page.get_by_label("User").fill(USER)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url("/")
        await page.close()
        yield context
        await browser.close()


async def test_no_page_has_a_serious_fault_an_error_or_scrolls_sideways(scene, context):
    axe = (node.installed() / "node_modules/axe-core/axe.min.js").read_text()
    routes = addresses(scene)
    page, faults = await context.new_page(), []
    page.on("pageerror", lambda error: faults.append((page.url, str(error))))
    page.on("console", lambda message: message.type == "error" and faults.append((page.url, message.text)))
    page.on("requestfailed", lambda request: _is_fault(request) and faults.append((page.url, request.url)))
    page.on("response", lambda response: response.status >= 400 and faults.append((page.url, response.url)))

    assert [route for route, found in routes.items() if not found] == [], "the scene has no example of these pages"
    for path in [path for found in routes.values() for path in found]:
        await page.emulate_media(color_scheme="light")
        await page.goto(path)
        await expect(page.locator("h1, .opblock, .login").first).to_be_visible(timeout=_TIMEOUT)
        # Closed parts are looked at, too.
        await page.evaluate("document.querySelectorAll('main details').forEach((each) => (each.open = true))")
        if path != "/docs":  # Swagger UI is not ours
            # Not by a script element: the policy of the pages allows only scripts of the server.
            await page.evaluate(axe)
            faults += [(path, "light", fault) for fault in await page.evaluate(_AXE % "")]
            await page.emulate_media(color_scheme="dark")  # differs in colors alone
            faults += [(path, "dark", fault) for fault in await page.evaluate(_AXE % _ONLY_COLORS)]
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            shown, wide = await page.evaluate(_SIDEWAYS)
            if shown > width or wide:
                faults.append((path, width, shown, wide))
    assert faults == [], "\n".join(str(fault)[:600] for fault in faults)


def _is_fault(request):
    # Event streams and media end when the page is left.
    return request.resource_type not in ("eventsource", "media", "image") and "ERR_ABORTED" not in (
        request.failure or ""
    )


async def test_captions_are_shown_over_the_video_of_a_later_job(scene, context):
    page = await context.new_page()
    await page.goto(scene.paths["execution Harbour at dawn"])
    video = page.locator("video").first
    await expect(video.locator("track")).to_have_count(1)

    cues = await video.evaluate("""async (video) => {
      const track = video.querySelector("track");
      track.track.mode = "showing";
      await new Promise((resolve) => (track.readyState === 2 ? resolve() : track.addEventListener("load", resolve)));
      video.currentTime = 1;
      await new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
      return [...track.track.cues].map((cue) => cue.text.replace(/<[^>]+>/g, "")).join(" ");
    }""")

    assert "Dawn breaks over the quiet harbor" in " ".join(cues.split())


async def test_an_audio_file_shows_its_waveform_and_a_click_in_it_seeks(scene, context):
    page = await context.new_page()
    await page.goto(scene.paths["execution Harbour at dawn"])
    audio, canvas = page.locator("audio").first, page.locator("canvas.waveform").first
    await audio.scroll_into_view_if_needed()
    await expect(canvas).to_be_visible(timeout=_TIMEOUT)

    drawn = await canvas.evaluate(
        "(each) => each.getContext('2d').getImageData(0, 0, each.width, each.height).data.filter((v) => v).length"
    )
    box = await canvas.bounding_box()
    await canvas.click(position={"x": box["width"] / 2, "y": 10})

    assert drawn > 1000
    duration = await audio.evaluate("(each) => each.duration")
    assert await audio.evaluate("(each) => each.currentTime") == pytest.approx(duration / 2, rel=0.1)


async def test_two_chosen_files_are_compared_and_their_players_move_together(scene, context):
    page = await context.new_page()
    await page.goto(scene.paths["execution Harbour at dawn"])
    await expect(page.get_by_role("button", name="Compare the chosen files")).to_be_hidden()
    await page.get_by_label("Compare video.mp4 of film").check()
    await page.get_by_label("Compare video.mp4 of web").check()
    await page.get_by_role("button", name="Compare the chosen files").click()

    await page.wait_for_url("**/console/compare?*")
    players = page.locator(".compared video")
    await expect(players).to_have_count(2)
    async with asyncio.timeout(30):
        times = [0.0]
        while min(times) < 2:
            # Again until both have loaded.
            await page.get_by_label("Position of all players").fill("0.4")
            await page.get_by_label("Position of all players").fill("0.5")
            times = await players.evaluate_all("(all) => all.map((each) => each.currentTime)")
            await asyncio.sleep(0.05)  # sleep: between two looks at the players
    assert times[0] == pytest.approx(times[1], abs=0.1)
