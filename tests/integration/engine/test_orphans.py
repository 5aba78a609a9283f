"""Orphans: files in the storage that nothing names are found and deleted, and nothing else is."""

import asyncio
import hashlib
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest
from plans import job, plan

from callsheet.db.statements import sql
from callsheet.domain.errors import InvalidState, NotFound, StorageUnreachable
from callsheet.engine.retention import orphan_work
from callsheet.engine.retention.orphan_work import OrphanWork
from callsheet.engine.retention.orphans import (
    OrphanStatus,
    list_orphans,
    newest_orphan_search,
    request_orphan_deletion,
    start_orphan_search,
)
from callsheet.engine.uploads import announce_upload, complete_upload
from callsheet.files.object_keys import object_key
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until

ANY_AGE = timedelta(hours=-1)
"""Also files that are being stored now are old enough."""
WRITES = {"name": "a.txt", "text": "hello"}
NO_FILE = {
    *("artifacts.probe", "workers.lanes", "workers.configured_lanes", "workers.missing"),
    *("resource_samples.sample", "resource_samples.levels"),
}
"""JSON that cannot contain keys of files."""


@pytest.fixture(params=["folder", "bucket"])
async def stored(request, settings, tmp_path):
    """An engine whose storage is a folder, or a bucket of a real server."""
    if request.param == "bucket":
        server = request.getfixturevalue("s3_server").settings()
        names = ("s3_bucket", "s3_endpoint", "s3_access_key", "s3_secret_key")
        changes = {name: getattr(server, name) for name in names}
        settings = settings.model_copy(update={**changes, "s3_prefix": uuid4().hex})
    async with running_engine(ALL, settings=settings, workers=0) as engine:
        engine.folder = tmp_path
        yield engine


def work(engine):
    return OrphanWork(engine.runtime.database, engine.runtime.storage, list(engine.runtime.catalog))


async def plant(engine, key, data=b"left"):
    path = engine.folder / uuid4().hex
    path.write_bytes(data)
    await engine.runtime.storage.put(key, path)
    return key


async def search(engine, *, min_age=ANY_AGE):
    """Search to the end, and return the keys that were found."""
    started = await start_orphan_search(engine.runtime.database, min_age=min_age, requested_by="test")
    await work(engine).continue_all()
    found = await newest_orphan_search(engine.runtime.database)
    assert (found.id, found.status, found.error) == (started.id, OrphanStatus.FOUND, None)
    files = await list_orphans(engine.runtime.database, found.id, after="", limit=1000)
    assert (found.files, found.bytes) == (len(files), sum(file.size for file in files))
    return [file.key for file in files]


async def delete(engine):
    found = await newest_orphan_search(engine.runtime.database)
    await request_orphan_deletion(engine.runtime.database, found.id, requested_by="test")
    await work(engine).continue_all()
    return await newest_orphan_search(engine.runtime.database)


async def keys(engine):
    return sorted([found.key async for page in engine.runtime.storage.list_all_pages() for found in page])


async def upload(engine, data):
    runtime, sent = engine.runtime, engine.folder / uuid4().hex
    sent.write_bytes(data)
    announced = await announce_upload(
        runtime.database,
        runtime.storage,
        runtime.settings,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        name="photo.png",
    )
    return await complete_upload(runtime.database, runtime.storage, announced, sent)


async def test_orphans_among_live_things_are_found_and_deleted_and_all_else_stays(stored):
    await stored.start_worker()
    done = await stored.run(plan(job("a", "write", params=WRITES)))
    checkpoint = await stored.run(plan(job("a", "write", params={"atOnce": True, "failures": 9}, retries=0)))
    waiting = await stored.submit(plan(job("a", "freeze", start_at=datetime(2100, 1, 1, tzinfo=UTC))))
    live = (await stored.execution(waiting)).jobs[0].id
    ended = done.jobs[0].id
    kept = [
        *(artifact.key for artifact in (*done.artifacts, *checkpoint.artifacts)),
        (await upload(stored, b"a photo")).key,
        await plant(stored, object_key("freeze", live, "part.mp4", epoch=3)),
        await plant(stored, f"video-generation/{uuid4()}/final.mp4"),
        await plant(stored, "of-another-program.txt"),
        await plant(stored, f"callsheet-cache/piece/ab/{'ab' * 32}/{'cd' * 32}-4"),
        await plant(stored, "write/readme.txt"),
    ]
    planted = [
        await plant(stored, object_key("write", ended, "late film 🎬.mp4", epoch=1)),
        await plant(stored, object_key("write", ended, "late.mp4", epoch=2)),
        await plant(stored, object_key("write", uuid4(), "film.mp4")),
        await plant(stored, f"uploads/{'0' * 64}.png"),
        await plant(stored, f"uploads/incoming/{uuid4()}"),
        await plant(stored, f"callsheet-check/{uuid4()}"),
    ]

    assert await search(stored) == sorted(planted)
    assert await keys(stored) == sorted([*kept, *planted]), "a search deletes nothing"
    deleted = await delete(stored)

    assert (deleted.status, deleted.deleted, deleted.kept, deleted.files) == (OrphanStatus.DELETED, 6, 0, 0)
    assert deleted.deleted_bytes == 6 * len(b"left")
    assert await keys(stored) == sorted(kept)


async def test_young_files_are_no_orphans(stored):
    await plant(stored, object_key("write", uuid4(), "film.mp4"))

    assert await search(stored, min_age=timedelta(days=2)) == []


async def test_files_that_any_table_names_are_no_orphans(stored):
    def key():
        return object_key("write", uuid4(), 'a "film" & more ü.mp4')

    named = {name: await plant(stored, key()) for name in ("params", "plan", "schedule", "metadata", "winner", "url")}
    execution = await stored.submit(
        plan(job("a", "noop", params={"value": {"x": f"storage:{named['params']}"}})),
        metadata={"publish": [{"key": named["metadata"]}]},
    )
    await stored.cancel(execution)
    async with stored.runtime.database.connection() as connection:
        insert = {
            "INSERT INTO plans (name, version, document, digest) VALUES ('p', 1, to_jsonb($1::text), '')": "plan",
            "INSERT INTO schedules (name, origin, spec, created_by) VALUES ('s', 'api', to_jsonb($1::text), 't')": (
                "schedule"
            ),
            "INSERT INTO ad_winners (tenant, ad, facts, digest, model, version) "
            "VALUES ('t', 'a', to_jsonb($1::text), '', '', 1)": "winner",
        }
        for statement, name in insert.items():
            await connection.execute(statement, f"see storage:{named[name]}")
        await connection.execute(
            "INSERT INTO outbox (type, data) VALUES ('x', to_jsonb($1::text))",
            f"https://bucket.example/{quote(named['url'])}?sig=1",
        )
    orphan = await plant(stored, key())

    assert await search(stored) == [orphan]


async def test_every_json_column_is_searched_for_keys(idle_engine):
    async with idle_engine.runtime.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns c JOIN information_schema.tables t"
            " USING (table_schema, table_name)"
            " WHERE table_schema = current_schema() AND data_type IN ('json', 'jsonb') AND table_type = 'BASE TABLE'"
        )
    searched = set()
    for columns, table in re.findall(r"SELECT ([^;]*?) (?:AS text )?FROM ([a-z_]+)\n", sql.drop_named_orphans.text):
        searched |= {f"{table}.{column}" for column in re.findall(r"([a-z_]+)::text", columns)}

    missing = {f"{row['table_name']}.{row['column_name']}" for row in rows} - NO_FILE - searched
    assert missing == set(), "add these columns to drop_named_orphans, or to NO_FILE"


async def test_a_file_that_is_stored_again_before_the_deletion_stays(stored):
    key, other = [await plant(stored, object_key("write", uuid4(), "film.mp4")) for _ in range(2)]
    assert len(await search(stored)) == 2
    await plant(stored, key, b"a newer and longer film")

    deleted = await delete(stored)

    assert (deleted.deleted, deleted.kept) == (1, 1)
    assert await keys(stored) == [key]
    assert other not in await keys(stored)


async def test_an_upload_that_is_announced_before_the_deletion_stays(stored):
    data = b"the same photo again"
    key = await plant(stored, f"uploads/{hashlib.sha256(data).hexdigest()}.png", data)
    assert await search(stored) == [key]
    assert (await upload(stored, data)).key == key

    deleted = await delete(stored)

    assert (deleted.deleted, deleted.kept) == (0, 1)
    assert await keys(stored) == [key]


async def test_an_upload_that_is_announced_during_the_deletion_waits_for_its_end(stored, monkeypatch):
    data = b"the same photo again"
    key = await plant(stored, f"uploads/{hashlib.sha256(data).hexdigest()}.png", data)
    assert await search(stored) == [key]
    uploading = []
    storage_delete = stored.runtime.storage.delete

    async def delete_slowly(deleted):
        if not uploading:
            uploading.append(asyncio.create_task(upload(stored, data)))
            async with stored.runtime.database.connection() as connection:
                await until(lambda: waits_for_lock(connection))
        await storage_delete(deleted)

    monkeypatch.setattr(stored.runtime.storage, "delete", delete_slowly)
    deleted = await delete(stored)
    again = await uploading[0]

    assert deleted.deleted == 1
    assert (again.key, await keys(stored)) == (key, [key]), "it was sent again after the deletion"


async def waits_for_lock(connection):
    return await connection.fetchval(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )


async def test_a_plan_that_names_an_orphan_before_the_deletion_keeps_it(stored):
    key = await plant(stored, object_key("write", uuid4(), "film.mp4"))
    assert await search(stored) == [key]
    await stored.submit(plan(job("a", "noop", params={"value": {"x": f"storage:{key}"}})))

    deleted = await delete(stored)

    assert (deleted.deleted, await keys(stored)) == (0, [key])


async def test_a_search_goes_on_when_its_server_dies(stored, monkeypatch):
    key = await plant(stored, object_key("write", uuid4(), "film.mp4"))
    await start_orphan_search(stored.runtime.database, min_age=ANY_AGE, requested_by="test")
    async with stored.runtime.database.connection() as connection:
        await sql.own_orphan_search(connection, owner=uuid4(), lease=60)
    assert await work(stored).continue_all() == 0, "another server has it"
    async with stored.runtime.database.connection() as connection:
        await connection.execute("UPDATE orphan_searches SET owned_until = now() - interval '1 second', listed = 7")

    assert await work(stored).continue_all() == 1

    found = await newest_orphan_search(stored.runtime.database)
    assert (found.status, found.listed, found.files) == (OrphanStatus.FOUND, 1, 1)
    assert [f.key for f in await list_orphans(stored.runtime.database, found.id, after="", limit=9)] == [key]


async def test_a_second_request_returns_the_search_at_work(idle_engine):
    database = idle_engine.runtime.database
    first = await start_orphan_search(database, min_age=ANY_AGE, requested_by="one")
    second = await start_orphan_search(database, min_age=ANY_AGE, requested_by="two")

    assert (first.id, second.requested_by) == (second.id, "one")
    with pytest.raises(InvalidState, match="searching"):
        await request_orphan_deletion(database, first.id, requested_by="two")
    with pytest.raises(NotFound):
        await request_orphan_deletion(database, uuid4(), requested_by="two")


async def test_a_search_of_a_storage_that_is_away_fails_with_the_reason(idle_engine, monkeypatch):
    async def away(_):
        raise StorageUnreachable("The bucket does not respond")
        yield

    monkeypatch.setattr("callsheet.files.storage.Storage.list_all_pages", away)
    await start_orphan_search(idle_engine.runtime.database, min_age=ANY_AGE, requested_by="test")
    await work(idle_engine).continue_all()

    found = await newest_orphan_search(idle_engine.runtime.database)
    assert (found.status, found.error) == (OrphanStatus.FAILED, "The bucket does not respond")
    assert (
        await start_orphan_search(idle_engine.runtime.database, min_age=ANY_AGE, requested_by="test")
    ).id != found.id


UPLOADER = """
import asyncio, sys
from pathlib import Path
from callsheet.files.storage import open_folder
async def main():
    source = Path(sys.argv[2])
    print("storing", flush=True)
    await open_folder(Path(sys.argv[1])).put(sys.argv[3], source)
asyncio.run(main())
"""


async def test_the_rest_of_a_killed_upload_to_a_folder_is_found_and_deleted(idle_engine, settings, tmp_path):
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(4 * 2**30)  # sparse: longer to store than the test takes
    key = object_key("write", uuid4(), "film.mp4")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", UPLOADER, str(settings.files_dir), str(source), key
    )
    try:
        await until(lambda: [*settings.files_dir.rglob("film.mp4#*")], timeout=60)
    finally:
        process.kill()
        await process.wait()
    [rest] = settings.files_dir.rglob("film.mp4#*")
    idle_engine.folder = tmp_path
    young = rest.relative_to(settings.files_dir).as_posix()

    assert await search(idle_engine, min_age=timedelta(days=2)) == []
    os.utime(rest, (0, 0))
    assert await search(idle_engine, min_age=timedelta(days=2)) == [young]
    deleted = await delete(idle_engine)

    assert deleted.deleted == 1
    assert not rest.exists()


async def test_memory_does_not_grow_with_the_storage(idle_engine, tmp_path, monkeypatch):
    """Pages are compared one after the other: none is kept."""
    idle_engine.folder = tmp_path
    at_once = []
    insert = OrphanWork._store

    async def count(self, search, listed, found):
        at_once.append(listed)
        await insert(self, search, listed, found)

    monkeypatch.setattr(orphan_work.OrphanWork, "_store", count)
    for number in range(2500):
        path = idle_engine.runtime.settings.files_dir / f"write/{uuid4()}/{number}"
        path.parent.mkdir(parents=True)
        path.touch()

    await start_orphan_search(idle_engine.runtime.database, min_age=ANY_AGE, requested_by="test")
    await work(idle_engine).continue_all()
    found = await newest_orphan_search(idle_engine.runtime.database)

    assert (found.listed, found.files) == (2500, 2500)
    assert max(at_once) <= 1000
    assert (await delete(idle_engine)).deleted == 2500
