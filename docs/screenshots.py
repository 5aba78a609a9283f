"""Make the screenshots of the console: `python docs/screenshots.py`, or `make screenshots`.

With names, only these are made: `python docs/screenshots.py models queues`.

A real server with plans in every status is started for them, on real media and on fakes of providers, and stopped at
the end. It needs Chromium (Debian: apt-get install chromium) and the dependencies of the tests.
"""

import asyncio
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import structlog
from PIL import Image
from playwright.async_api import Page, async_playwright

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "media" / "console"
MAX_BYTES = 100_000
"""Of one picture."""
_WIDTH, _HEIGHT = 1280, 860

sys.path.insert(0, str(ROOT / "tests"))


@dataclass(frozen=True)
class Shot:
    """One picture: the name of its file, and the page, as a path or as a name of the scene."""

    name: str
    page: str
    theme: str = "light"
    width: int = _WIDTH
    height: int = _HEIGHT
    scroll_to: str = ""
    """CSS selector of what is at the top of the picture; empty: the top of the page."""


SHOTS = [
    Shot("home", "/"),
    Shot("executions", "/executions"),
    Shot("jobs", "/console/jobs"),
    Shot("execution", "execution Harbour at dawn", "dark", height=1100, scroll_to="#state"),
    Shot("job", "job fox"),
    Shot("compare", "compare"),
    Shot("artifacts", "/console/artifacts", "dark"),
    Shot("new", "again", height=1000),
    Shot("plan", "plan", height=640),
    Shot("approval", "approval", "dark", width=390, height=780),
    Shot("queues", "/console/queues"),
    Shot("workers", "/console/workers", height=520),
    Shot("providers", "/console/providers"),
    Shot("models", "/console/models"),
    Shot("intakes", "/console/intakes", height=320),
    Shot("webhooks", "/console/webhooks", "dark"),
    Shot("winners", "winners", height=640),
    Shot("clean-up", "/console/clean-up"),
    Shot("access", "/console/access", height=720),
    Shot("audit", "/console/audit", height=640),
]


async def main(names: Collection[str]) -> None:
    """Make the pictures of these names; all if there is no name."""
    if unknown := sorted(set(names) - {shot.name for shot in SHOTS}):
        raise SystemExit(f"There are no pictures {', '.join(unknown)}")
    from callsheet.db.embedded.postgres import EmbeddedPostgres
    from callsheet.db.upgrade import upgrade
    from callsheet.settings import Settings
    from support.console_scene import PASSWORD, USER, running_scene

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    folder = Path(tempfile.mkdtemp(prefix="callsheet-screenshots-"))
    (folder / "bin").mkdir()
    (folder / "bin" / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    os.environ["PATH"] = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    server = EmbeddedPostgres(folder / "postgres")
    dsn = await asyncio.to_thread(server.start)
    try:
        await upgrade(dsn)
        settings = Settings(_env_file=None, data_dir=folder / "data", database_url=dsn)
        async with running_scene(settings) as scene, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
            page = await browser.new_page(base_url=scene.base_url)
            await page.goto("/login")
            await page.get_by_label("User").fill(USER)
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Log in").click()
            await page.wait_for_url("/")
            for shot in [each for each in SHOTS if not names or each.name in names]:
                await _take(page, shot, scene.paths)
            await browser.close()
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


async def _take(page: Page, shot: Shot, paths: Mapping[str, str]) -> None:
    await page.emulate_media(color_scheme=shot.theme)  # type: ignore[arg-type]
    await page.set_viewport_size({"width": shot.width, "height": shot.height})
    await page.goto(paths.get(shot.page, shot.page))
    if shot.scroll_to:
        await page.locator(shot.scroll_to).first.evaluate("(each) => each.scrollIntoView()")
    # Players show their first frame only after they have moved.
    await page.evaluate("document.querySelectorAll('video').forEach((each) => { each.currentTime = 0.6; })")
    await page.wait_for_timeout(2000)
    image = Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{shot.name}.webp"
    image.save(path, quality=82, method=6)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{path} has {size:,} bytes, more than {MAX_BYTES:,}: show less of the page")
    sys.stdout.write(f"{path.relative_to(ROOT)}: {size:,} bytes\n")


def _chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise SystemExit("Chromium is needed: apt-get install chromium")
    return found


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
