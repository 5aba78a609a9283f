"""Delete expired files."""

import hashlib
import os
from datetime import timedelta

from plans import job, plan
from structlog.testing import CapturingLogger

from callsheet.domain.errors import StorageUnreachable
from callsheet.engine.uploads import announce_upload, complete_upload
from callsheet.files.cache import FileCache
from callsheet.testing.waiters import until

KEY = "piece/" + "ab" * 32


def cached_files(settings):
    return [path for path in settings.files_dir.glob("callsheet-cache/piece/*/*/*") if path.is_file()]


async def test_a_worker_deletes_old_files_from_the_cache(idle_engine, settings, tmp_path):
    (tmp_path / "made").write_bytes(b"video")
    await FileCache(idle_engine.runtime.storage, max_age=settings.cache_max_age).keep(KEY, tmp_path / "made")
    (kept,) = cached_files(settings)
    old = kept.stat().st_mtime - (settings.cache_max_age + timedelta(hours=1)).total_seconds()
    os.utime(kept, (old, old))

    await idle_engine.start_worker()

    assert await until(lambda: not cached_files(settings))


async def test_a_worker_continues_without_its_storage(idle_engine, monkeypatch):
    logger = CapturingLogger()
    monkeypatch.setattr("callsheet.engine.worker.cleaner.log", logger)

    async def unreachable(*_):
        raise StorageUnreachable("The bucket is unreachable")

    monkeypatch.setattr("callsheet.files.storage.Storage.head", unreachable)

    await idle_engine.start_worker()

    assert (await idle_engine.run(plan(job("a")))).status == "succeeded"
    await until(lambda: "The bucket is unreachable" in str(logger.calls))


async def test_a_worker_deletes_unused_uploads(idle_engine, settings, tmp_path):
    runtime, data = idle_engine.runtime, b"a photo"
    (tmp_path / "sent").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    upload = await announce_upload(
        runtime.database, runtime.storage, settings, sha256=sha256, size=len(data), name="photo.png"
    )
    await complete_upload(runtime.database, runtime.storage, upload, tmp_path / "sent")
    stored = settings.files_dir / "uploads" / f"{sha256}.png"
    assert stored.exists()
    async with runtime.database.connection() as connection:
        await connection.execute("UPDATE uploads SET used_at = now() - interval '8 days'")

    await idle_engine.start_worker()

    await until(lambda: not stored.exists())


async def test_a_worker_forgets_lanes_set_by_hand_for_a_name_that_is_not_used_for_a_month(idle_engine):
    async def kept(connection):
        rows = await connection.fetch(
            "SELECT worker_name, seen_at > now() - interval '1 day' AS fresh FROM worker_lanes"
        )
        return {row["worker_name"]: row["fresh"] for row in rows}

    async with idle_engine.runtime.database.connection() as connection:
        await connection.execute(
            "INSERT INTO worker_lanes (worker_name, queue, slots, seen_at)"
            " VALUES ('gone', 'test', 1, now() - interval '31 days'), ('away', 'test', 1, now() - interval '29 days'),"
            " ('here', 'test', 1, now() - interval '40 days')"
        )
        await idle_engine.start_worker(name="here")

        await until(lambda: _forgotten(connection), timeout=60)

        assert await kept(connection) == {"away": False, "here": True}


async def _forgotten(connection):
    return await connection.fetchval("SELECT count(*) FROM worker_lanes") == 2
