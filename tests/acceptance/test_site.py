"""The documentation as a site: it is complete, has search, and loads nothing from other servers."""

import functools
import http.server
import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from playwright.async_api import TimeoutError, async_playwright, expect
from tools.site.navigation import navigation

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-site/bin/python"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_TIMEOUT = 60_000
"""Milliseconds."""

needs_builder = pytest.mark.skipif(not PYTHON.exists(), reason="there is no .venv-site: `make test` creates it")


def build(root, out):
    """Run the builder as `make site` does, and return how it ended."""
    command = [str(PYTHON), "-m", "tools.site", "--root", str(root), "--out", str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / "html"


@pytest.fixture
def pages(tmp_path):
    """A repository with two pages, to break them."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/README.md").write_text("# Documentation\n\n## Start\n\n- What is it? [One](one.md)\n")
    (tmp_path / "docs/one.md").write_text("# One\n\n## Part\n\nSee [the part](#part) and [the file](../file.py).\n")
    (tmp_path / "file.py").write_text("x = 1\n")
    return tmp_path


@needs_builder
def test_every_page_of_the_index_is_on_the_site_and_found_by_its_search(site):
    pages = [page for entry in navigation((ROOT / "docs/README.md").read_text()) for page in entry.pages()]
    found = {item["location"].partition("#")[0] for item in json.loads((site / "search.json").read_text())["items"]}

    assert len(pages) > 60
    for page in pages:
        location = page.removesuffix("README.md") if page.endswith("README.md") else f"{page.removesuffix('.md')}/"
        assert (site / location / "index.html").is_file(), page
        assert location in found, page


@needs_builder
def test_a_small_site_has_the_files_that_its_pages_link_to(pages):
    done = build(pages, pages / "out")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "x" in (pages / "out/html/repository/file.py/index.html").read_text()


@needs_builder
@pytest.mark.parametrize(
    ("page", "text", "problem"),
    [
        ("one.md", "[a file](gone.py)", "gone.py"),
        ("one.md", "[a page](two.md)", "two.md"),
        ("one.md", "[a heading](#gone)", "anchor does not exist"),
        ("two.md", "# Two", "docs/README.md does not name two.md"),
    ],
)
def test_a_broken_page_fails_the_build(pages, page, text, problem):
    (pages / "docs" / page).write_text(f"# Page\n\n{text}\n")

    done = build(pages, pages / "out")

    assert done.returncode == 1
    assert problem in done.stdout + done.stderr


@needs_builder
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
async def test_the_site_works_in_a_browser_without_any_other_server(site):
    expect.set_options(timeout=_TIMEOUT)
    handler = functools.partial(_Quiet, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    faults = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=_TIMEOUT)
        page = await browser.new_page()
        page.set_default_timeout(_TIMEOUT)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request", lambda request: request.url.startswith((base, "blob:", "data:")) or faults.append(request.url)
        )
        # A page with a diagram: others would load the program that draws it.
        await page.goto(f"{base}/a-job-is-stuck/")
        await page.get_by_role("button", name="Search").first.click()
        await page.keyboard.type("how long data is kept")
        await first_result(page)
        await expect(page.get_by_role("heading", name="How long data is kept")).to_be_visible()
        await browser.close()
    server.shutdown()
    assert faults == []


async def first_result(page):
    """Open the first result of the search, as soon as there is one. Locators do not see the results."""
    for _ in range(60):
        await page.keyboard.press("Enter")
        try:
            return await page.wait_for_url(lambda url: "/a-job-is-stuck/" not in url, timeout=1000, wait_until="commit")
        except TimeoutError:
            continue
    pytest.fail("the search finds nothing")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Write no log."""
