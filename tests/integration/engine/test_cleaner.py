"""Removing what nobody needs any more."""

import os
from datetime import timedelta

from plans import job, plan
from structlog.testing import CapturingLogger

from callsheet.domain.errors import StorageUnreachable
from callsheet.files.cache import FileCache
from callsheet.testing.waiters import until

KEY = "piece/" + "ab" * 32


def cached_files(settings):
    return [path for path in settings.files_dir.glob("callsheet-cache/piece/*/*/*") if path.is_file()]


async def test_a_worker_removes_old_files_from_the_cache(idle_engine, settings, tmp_path):
    (tmp_path / "made").write_bytes(b"film")
    await FileCache(idle_engine.runtime.storage, max_age=settings.cache_max_age).keep(KEY, tmp_path / "made")
    (kept,) = cached_files(settings)
    old = kept.stat().st_mtime - (settings.cache_max_age + timedelta(hours=1)).total_seconds()
    os.utime(kept, (old, old))

    await idle_engine.start_worker()

    await until(lambda: not cached_files(settings))


async def test_a_worker_whose_storage_is_away_works_on(idle_engine, monkeypatch):
    logger = CapturingLogger()
    monkeypatch.setattr("callsheet.engine.worker.cleaner.log", logger)

    async def away(*_):
        raise StorageUnreachable("The bucket is away")

    monkeypatch.setattr("callsheet.files.storage.Storage.head", away)

    await idle_engine.start_worker()

    assert (await idle_engine.run(plan(job("a")))).status == "succeeded"
    await until(lambda: "The bucket is away" in str(logger.calls))
