"""The page of the clean-up: the same numbers as the API and the command line, and its actions."""

import asyncio
import html
import json
import re

import pytest

from callsheet.engine.retention.disk import measure_disk
from callsheet.engine.schedules.file import store_defined_schedules

from .commands import command
from .test_clean_up import api_with_orphans, stored_keys, touch_old  # noqa: F401 - a fixture
from .test_console import page, token_in


@pytest.fixture
async def with_scratch(api):
    """A server of a machine with a temporary file that is old enough."""
    left = api.runtime.settings.scratch_dir / "left"
    left.mkdir(parents=True)
    (left / "part.mp4").write_bytes(bytes(3_500_000))
    for path in (left / "part.mp4", left):
        touch_old(path)
    await measure_disk(api.runtime.database, api.runtime.settings)
    return api


def text_of(markup):
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", markup)).split())


async def test_the_page_shows_the_numbers_of_the_dry_run_and_deletes_nothing(with_scratch):
    api = with_scratch
    shown = text_of(await page(api, "/console/clean-up"))
    printed = (await command(api, "clean-up", "--dry-run")).stdout
    preview = (await api.client.get("/api/clean-up")).json()

    assert printed.startswith("0 executions with 0 files (0 B)\n1 temporary files (3.")
    assert "Executions that are no longer kept 0 0 files, 0 bytes" in shown
    assert "Temporary files 1 3.5 MB on 1 machine" in shown
    assert "Room gained 3.5 MB" in shown
    assert f"CALLSHEET_RETENTION={api.runtime.settings.retention}" in shown
    [machine] = preview["temporaryFiles"]["machines"]
    assert machine["host"] in shown and machine["folder"] in shown
    assert "The storage was not searched yet." in shown
    assert (api.runtime.settings.scratch_dir / "left" / "part.mp4").exists()
    assert "What a clean-up would delete" in await page(api, "/")


async def test_the_clean_up_is_started_by_a_button_that_asks_first(with_scratch):
    api = with_scratch
    await store_defined_schedules(api.runtime.database, None)
    text = await page(api, "/console/clean-up")
    [question] = re.findall('action="/console/clean-up/run" data-confirm="([^"]+)"', text)
    without_token = await api.client.post("/console/clean-up/run", data={})
    before = (await api.client.get("/api/schedules/clean-up")).json()["nextStartAt"]
    started = await api.client.post("/console/clean-up/run", data={"token": token_in(text)})
    after = (await api.client.get("/api/schedules/clean-up")).json()["nextStartAt"]

    assert "1 temporary files (3.5 MB)? This cannot be undone." in question
    assert without_token.status_code == 401
    assert (started.status_code, started.headers["location"]) == (303, "/console/schedules/clean-up")
    assert after < before

    await api.client.post("/api/schedules/clean-up/pause")
    paused = await page(api, "/console/clean-up")
    assert 'action="/console/clean-up/run"' not in paused
    assert "is paused" in text_of(paused)


async def test_orphaned_files_are_searched_shown_and_deleted(api_with_orphans):  # noqa: F811
    api = api_with_orphans
    data = {"token": token_in(await page(api, "/console/clean-up"))}
    started = await api.client.post("/console/clean-up/orphans", data=data)
    async with api.client.stream("GET", "/console/clean-up/stream") as response, asyncio.timeout(30):
        states = (json.loads(line[6:])["html"] async for line in response.aiter_lines() if line.startswith("data: "))
        searching = await anext(states)
        await api.runtime.continue_orphan_searches()
        found = await anext(states)
    action = re.search('action="(/console/clean-up/orphans/[^"]+/delete)" data-confirm="([^"]+)"', found)
    accepted = await api.client.post(action[1], data=data)
    await api.runtime.continue_orphan_searches()
    deleted = text_of(await page(api, "/console/clean-up"))

    assert started.headers["location"] == "/console/clean-up#orphans"
    assert "searching" in searching and "<button" not in searching
    assert "3 orphaned files, 6.0 kB, among 4 in the storage" in text_of(found)
    assert found.count("film-") == 3
    assert action[2] == "Delete 3 files (6.0 kB)? This cannot be undone."
    assert accepted.status_code == 303
    assert "3 deleted, 6.0 kB" in deleted
    assert await stored_keys(api) == ["readme.txt"]
