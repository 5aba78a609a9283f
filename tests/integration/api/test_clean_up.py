"""The clean-up: its preview, and the search for files that nothing names, by API and command line."""

import asyncio
import os
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from callsheet.engine.retention.disk import measure_disk

from .commands import command, command_json


@pytest.fixture
async def api_with_orphans(api, tmp_path):
    """A server whose storage has three orphans, old enough, and a file of another program."""
    for number in range(3):
        (tmp_path / "film.mp4").write_bytes(bytes(1000 * (number + 1)))
        await api.runtime.storage.put(f"noop/{uuid4()}/film-{number}.mp4", tmp_path / "film.mp4")
    await api.runtime.storage.put("readme.txt", tmp_path / "film.mp4")
    for path in api.runtime.settings.files_dir.rglob("*"):
        if path.is_file():
            touch_old(path)
    return api


def touch_old(path):
    os.utime(path, (0, 0))


@asynccontextmanager
async def server_tasks(api):
    """Do the work of a server, which the server of a test does not do."""

    async def carry_out():
        while True:
            await api.runtime.continue_orphan_searches()
            await asyncio.sleep(0.05)  # sleep: the interval of the server, shortened

    task = asyncio.create_task(carry_out())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_preview_has_executions_temporary_files_and_orphans(api):
    settings = api.runtime.settings
    left = settings.scratch_dir / "left"
    left.mkdir(parents=True)
    (left / "part.mp4").write_bytes(bytes(10_000))
    for path in (left / "part.mp4", left):
        touch_old(path)

    empty = (await api.client.get("/api/clean-up")).json()
    await measure_disk(api.runtime.database, settings)
    found = (await api.client.get("/api/clean-up")).json()
    printed = (await command(api, "clean-up", "--dry-run")).stdout

    assert empty == {
        "executions": 0,
        "files": 0,
        "bytes": 0,
        "temporaryFiles": {"files": 0, "bytes": 0, "machines": []},
        "orphans": None,
    }
    [machine] = found["temporaryFiles"]["machines"]
    assert (machine["removableFiles"], machine["folder"]) == (1, str(settings.scratch_dir))
    assert found["temporaryFiles"]["bytes"] == machine["removableBytes"] >= 10_000
    assert left.exists()
    lines = printed.splitlines()
    assert lines[0] == "0 executions with 0 files (0 B)"
    assert lines[1].startswith("1 temporary files (")
    assert machine["host"] in lines[2]
    assert "clean-up --orphans --dry-run" in lines[3]


async def test_orphans_are_searched_listed_and_deleted(api_with_orphans):
    api = api_with_orphans
    none = await api.client.get("/api/clean-up/orphans")
    started = await api.client.post("/api/clean-up/orphans")
    early = await api.client.post(f"/api/clean-up/orphans/{started.json()['id']}/delete")
    await api.runtime.continue_orphan_searches()
    found = (await api.client.get("/api/clean-up/orphans")).json()
    url = f"/api/clean-up/orphans/{found['id']}"
    first = (await api.client.get(f"{url}/files", params={"limit": 2})).json()
    second = (await api.client.get(f"{url}/files", params={"after": first["nextAfter"]})).json()
    accepted = await api.client.post(f"{url}/delete")
    await api.runtime.continue_orphan_searches()
    deleted = (await api.client.get("/api/clean-up/orphans")).json()
    preview = (await api.client.get("/api/clean-up")).json()
    unknown = await api.client.post(f"/api/clean-up/orphans/{uuid4()}/delete")

    assert (none.status_code, early.status_code, unknown.status_code) == (404, 409, 404)
    assert (started.status_code, started.headers["location"]) == (202, "/api/clean-up/orphans")
    assert (found["status"], found["listed"], found["files"], found["bytes"]) == ("found", 4, 3, 6000)
    sizes = [file["size"] for file in first["files"] + second["files"]]
    assert (sorted(sizes), second["nextAfter"]) == ([1000, 2000, 3000], None)
    assert (accepted.status_code, accepted.json()["status"]) == (202, "deleting")
    assert (deleted["status"], deleted["deleted"], deleted["deletedBytes"]) == ("deleted", 3, 6000)
    assert preview["orphans"] == deleted
    assert await stored_keys(api) == ["readme.txt"]


async def stored_keys(api):
    return [found.key async for page in api.runtime.storage.list_all_pages() for found in page]


async def test_the_command_line_lists_orphans_and_deletes_them_only_with_consent(api_with_orphans):
    api = api_with_orphans
    async with server_tasks(api):
        listed = (await command(api, "clean-up", "--orphans", "--dry-run")).stdout
        as_json = await command_json(api, "clean-up", "--orphans", "--dry-run")
        refused = (await command(api, "clean-up", "--orphans", status=2)).stderr
        before = await stored_keys(api)
        deleted = (await command(api, "clean-up", "--orphans", "--yes")).stderr

    assert listed.count("film-") == 3
    assert listed.splitlines()[-1].startswith("3 orphaned files (")
    assert sorted(file["size"] for file in as_json["orphans"]) == [1000, 2000, 3000]
    assert "--yes" in refused
    assert len(before) == 4
    assert "Deleted 3 files" in deleted
    assert await stored_keys(api) == ["readme.txt"]
