"""Backup and restore of an installation with the embedded database."""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from callsheet.backup.create import create_backup
from callsheet.backup.restore import restore_backup, verify_backup
from callsheet.backup.targets import open_target
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.migrations import HEAD
from callsheet.db.upgrade import current_revision, upgrade
from callsheet.domain.errors import BadInput, CallsheetError, ConfigurationError, Conflict, NotFound
from callsheet.engine.retention.delete import delete_execution, delete_objects
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until
from callsheet.wiring import open_runtime

EARLIER = "0012_schedules"
WRITE = {"jobs": [{"id": "a", "operation": "write", "params": {"text": "kept"}}]}


def settings_in(folder, **changes):
    return Settings(_env_file=None, data_dir=folder, grace_period="5s", retry_base=0.02, **changes)


@contextmanager
def silent(_name, _size):
    yield lambda _done, _size=None: None


def backup(settings, path, **options):
    return create_backup(settings, path, **{"with_files": True, "show": silent, **options})


def restore(settings, path, **options):
    return restore_backup(settings, path, **{"replace": False, "show": silent, **options})


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "callsheet", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
        **options,
    )


async def run_command(*arguments):
    process = command(*arguments)
    out, errors = await asyncio.to_thread(process.communicate, timeout=120)
    return process.returncode, out, errors


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


async def sha256_of(storage, key):
    return hashlib.sha256(b"".join([chunk async for chunk in storage.stream(key)])).hexdigest()


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """The data folder of an installation with a finished execution, which no test changes."""

    async def fill(settings):
        async with running_engine(ALL, settings=settings) as engine:
            assert (await engine.run(WRITE, timeout=120)).status == "succeeded"

    folder = tmp_path_factory.mktemp("installation") / "data"
    asyncio.run(fill(settings_in(folder)))
    return folder


@pytest.fixture(scope="module")
def made(installation, tmp_path_factory):
    """A backup of it in a folder, which no test changes."""
    path = tmp_path_factory.mktemp("backup") / "made"
    asyncio.run(backup(settings_in(installation), path))
    return path


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the backup, which a test may damage."""
    return shutil.copytree(made, tmp_path / "copy")


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
async def test_a_backup_is_restored_with_its_rows_files_and_signing_key(name, installation, tmp_path):
    code, out, errors = await run_command("backup", tmp_path / name, "--data-dir", installation, "--json")
    restored = await run_command("restore", tmp_path / name, "--data-dir", tmp_path / "data")

    assert code == 0, errors
    assert restored[0] == 0, restored[2]
    assert "Restored into" in restored[2]
    manifest = json.loads(out)
    async with open_runtime(settings_in(tmp_path / "data"), Catalog(ALL)) as runtime:
        async with runtime.database.connection() as connection:
            [artifact] = await connection.fetch("SELECT key, sha256 FROM artifacts")
        assert await sha256_of(runtime.storage, artifact["key"]) == artifact["sha256"]
    assert (manifest["schemaRevision"], manifest["problems"]) == (HEAD, [])
    assert manifest["rows"]["artifacts"] == manifest["files"]["count"] == 1
    assert (tmp_path / "data/signing.key").read_text() == (installation / "signing.key").read_text()
    assert names_in(tmp_path) == sorted([name, "data"])
    assert names_in(tmp_path / "data") == ["files", "postgres", "signing.key"]
    assert (tmp_path / name).stat().st_mode & 0o077 == 0, "others must not read the signing key"


async def test_files_that_are_deleted_during_a_backup_are_deleted_after_it(tmp_path):
    settings = settings_in(tmp_path / "data")
    async with running_engine(ALL, settings=settings) as engine:
        executions = [await engine.run(WRITE, timeout=120) for _ in range(2)]
        database, storage, loop = engine.runtime.database, engine.runtime.storage, asyncio.get_running_loop()
        stored = []

        @contextmanager
        def delete_meanwhile(name, _size):
            if name == "files":  # the database was dumped, and no file is copied yet
                work = delete_execution(database, storage, executions[0].execution_id)
                asyncio.run_coroutine_threadsafe(work, loop).result(60)
                stored.append(len(list(settings.files_dir.rglob("note.txt"))))
            yield lambda _done, _size=None: None

        manifest = await backup(settings, tmp_path / "backup", show=delete_meanwhile)
        deleted_later = await delete_objects(database, storage)

    assert manifest.problems == []
    assert (manifest.rows["artifacts"], manifest.files.count) == (2, 2)
    assert (stored, deleted_later) == ([2], 1)
    assert len(list(settings.files_dir.rglob("note.txt"))) == 1


async def test_each_row_has_its_file_in_a_backup_under_load(tmp_path):
    settings = settings_in(tmp_path / "data")
    stop = asyncio.Event()
    async with running_engine(ALL, settings=settings, lanes={"test": 4}) as engine:

        async def submit_until_stopped():
            while not stop.is_set():
                await engine.run({"jobs": [{**WRITE["jobs"][0], "id": f"j{n}"} for n in range(4)]}, timeout=120)

        load = asyncio.create_task(submit_until_stopped())
        async with engine.runtime.database.connection() as connection:
            await until(lambda: connection.fetchval("SELECT count(*) > 3 FROM artifacts"), timeout=120)
            manifest = await backup(settings, tmp_path / "backup")
            later = await connection.fetchval("SELECT count(*) FROM artifacts")
        stop.set()
        await load

    assert manifest.problems == []
    assert 3 < manifest.rows["artifacts"] <= manifest.files.count
    assert later >= manifest.rows["artifacts"]


async def test_a_backup_of_an_earlier_schema_is_restored_and_upgraded(tmp_path):
    """Written as rows: code of that time is not needed to know what was in its tables."""
    settings = settings_in(tmp_path / "old")
    ids = {name: uuid4() for name in ("ended", "open", "wrote", "waits", "later", "artifact")}
    async with embedded_database(settings, revision=EARLIER) as connection:
        await write_rows(connection, ids)
        key = f"write/{ids['wrote']}/note.txt"
        (settings.files_dir / key).parent.mkdir(parents=True)
        (settings.files_dir / key).write_text("kept")
        made = await backup(settings, tmp_path / "backup")
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == EARLIER, "a backup migrated it"

    await restore(settings_in(tmp_path / "new"), tmp_path / "backup")

    async with running_engine(ALL, settings=settings_in(tmp_path / "new")) as engine:
        execution = await engine.ended(ids["open"], timeout=120)
        [artifact] = (await engine.execution(ids["ended"])).artifacts
        async with engine.runtime.database.connection() as connection:
            schedule = await connection.fetchrow("SELECT name, due_at, spec FROM schedules WHERE origin = 'api'")
        assert await current_revision(engine.runtime.database.address) == HEAD
        assert await sha256_of(engine.runtime.storage, key) == artifact.sha256
    assert made.schema_revision == EARLIER
    assert execution.status == "succeeded"
    assert {job.job_id: job.result for job in execution.jobs} == {"waits": {"value": 7}, "later": {"value": 8}}
    assert (schedule["name"], schedule["due_at"]) == ("nightly", datetime(2099, 1, 1, tzinfo=UTC))
    assert json.loads(schedule["spec"])["cron"] == "@daily"


@asynccontextmanager
async def embedded_database(settings, *, revision):
    """Start the embedded database of a data folder at a revision; yield a connection."""
    server = EmbeddedPostgres(settings.data_dir / "postgres")
    dsn = await asyncio.to_thread(server.start)
    await upgrade(dsn, to=revision)
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "callsheet"})
    yield connection
    await connection.close()
    await asyncio.to_thread(server.stop)


async def write_rows(connection, ids):
    await connection.execute(
        "INSERT INTO executions (id, status, job_count, unfinished, finished_at) VALUES"
        " ($1, 'succeeded', 1, 0, now()), ($2, 'queued', 2, 2, NULL)",
        ids["ended"],
        ids["open"],
    )
    job = """
        INSERT INTO execution_jobs (id, execution_id, job_id, operation, queue, priority, status, params,
                                    timeout_seconds, max_attempts, pending_dependencies, has_downstream, queued_at)
        VALUES ($1, $2, $3, $4, 'test', 5, $5, $6, 60, 3, $7, $8, now())"""
    value = json.dumps
    await connection.execute(job, ids["wrote"], ids["ended"], "a", "write", "succeeded", "{}", 0, False)
    await connection.execute(job, ids["waits"], ids["open"], "waits", "noop", "queued", value({"value": 7}), 0, True)
    await connection.execute(job, ids["later"], ids["open"], "later", "noop", "pending", value({"value": 8}), 1, False)
    await connection.execute("INSERT INTO edges VALUES ($1, $2)", ids["waits"], ids["later"])
    await connection.execute(
        "INSERT INTO artifacts (id, execution_id, job, name, key, media_type, size, sha256)"
        " VALUES ($1, $2, $3, 'note.txt', $4, 'text/plain', 4, $5)",
        ids["artifact"],
        ids["ended"],
        ids["wrote"],
        f"write/{ids['wrote']}/note.txt",
        hashlib.sha256(b"kept").hexdigest(),
    )
    await connection.execute(
        "INSERT INTO schedules (name, origin, spec, due_at, start_at, created_by)"
        " VALUES ('nightly', 'api', $1, '2099-01-01 00:00+00', '2099-01-01 00:00+00', 'test')",
        value({"name": "nightly", "cron": "@daily", "plan": "ad"}),
    )


async def test_a_killed_backup_never_looks_complete_and_can_be_repeated(installation, tmp_path):
    process = command("backup", tmp_path / "backup", "--data-dir", installation, start_new_session=True)
    part = tmp_path / "backup.part"
    await until(lambda: (part / "database.dump").exists(), timeout=120)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)

    assert not (tmp_path / "backup").exists()
    with pytest.raises(BadInput, match="not a complete backup: it has no manifest"):
        await verify_backup(part, show=silent)
    await backup(settings_in(installation), tmp_path / "backup")
    assert (await verify_backup(tmp_path / "backup", show=silent)).files.count == 1
    assert names_in(tmp_path) == ["backup"]


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
async def test_a_backup_that_fails_leaves_nothing(name, installation, tmp_path):
    @contextmanager
    def full(step, _size):
        if step == "files":
            raise OSError(28, "No space left on device")
        yield lambda _done, _size=None: None

    with pytest.raises(CallsheetError, match="no space left"):
        await backup(settings_in(installation), tmp_path / name, show=full)

    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
async def test_two_backups_to_one_target_do_not_disturb_each_other(name, installation, tmp_path):
    with open_target(tmp_path / name):
        with pytest.raises(Conflict, match="Another process writes a backup"):
            await backup(settings_in(installation), tmp_path / name)
        assert (tmp_path / f"{name}.part").exists()


async def test_a_backup_does_not_replace_what_is_there(made, installation):
    with pytest.raises(Conflict, match="is there already"):
        await backup(settings_in(installation), made)


async def test_a_missing_and_a_damaged_file_are_named_and_the_rest_is_backed_up(tmp_path):
    settings = settings_in(tmp_path / "data")
    async with running_engine(ALL, settings=settings) as engine:
        lost, damaged = [(await engine.run(WRITE, timeout=120)).artifacts[0].key for _ in range(2)]
        (settings.files_dir / lost).unlink()
        (settings.files_dir / damaged).chmod(0o644)
        (settings.files_dir / damaged).write_text("other")

        manifest = await backup(settings, tmp_path / "backup.tar")

    assert sorted(manifest.problems) == sorted(
        [
            f"files/{lost} is missing",
            f"files/{damaged} is damaged: it has not the size and SHA-256 that the database has",
        ]
    )


async def test_without_files_the_database_and_the_key_are_backed_up(installation, tmp_path):
    code, _, errors = await run_command("backup", tmp_path / "b", "--no-files", "--data-dir", installation)

    assert code == 0
    assert "which must be backed up after the database" in errors
    assert names_in(tmp_path / "b") == ["database.dump", "manifest.json", "signing.key"]
    (tmp_path / "data/files").mkdir(parents=True)
    (tmp_path / "data/files/kept").write_text("not in the backup, so it stays")
    await restore(settings_in(tmp_path / "data"), tmp_path / "b")
    assert names_in(tmp_path / "data") == ["files", "postgres", "signing.key"]
    assert names_in(tmp_path / "data/files") == ["kept"]


async def test_a_data_folder_with_content_is_refused_or_moved_aside(made, tmp_path):
    settings = settings_in(tmp_path / "data")
    (tmp_path / "data/files").mkdir(parents=True)
    (tmp_path / "data/files/old").write_text("old")
    (tmp_path / "data/winners").mkdir()
    (tmp_path / "data/winners/index").write_text("of the replaced database")
    with pytest.raises(Conflict, match="already has files"):
        await restore(settings, made)
    assert names_in(tmp_path / "data") == ["files", "winners"]

    await restore(settings, made, replace=True)

    [aside] = (tmp_path / "data").glob("replaced-*")
    assert (aside / "files/old").read_text() == "old"
    assert names_in(aside) == ["files", "winners"]
    assert names_in(tmp_path / "data") == ["files", "postgres", aside.name, "signing.key"]


async def test_a_data_folder_in_use_is_refused(made, tmp_path):
    with EmbeddedPostgres(tmp_path / "data/postgres"), pytest.raises(Conflict, match="stop them first"):
        await restore(settings_in(tmp_path / "data"), made, replace=True)


async def test_a_killed_restore_keeps_servers_from_starting_until_it_is_repeated(made, tmp_path):
    process = command("restore", made, "--data-dir", tmp_path / "data", start_new_session=True)
    await until(lambda: (tmp_path / "data/restoring/postgres").exists(), timeout=120)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)

    with pytest.raises(ConfigurationError, match="in progress, or was killed: wait for its end, or repeat it"):
        async with open_runtime(settings_in(tmp_path / "data"), Catalog(ALL)):
            pass
    await restore(settings_in(tmp_path / "data"), made)

    assert names_in(tmp_path / "data") == ["files", "postgres", "signing.key"]


@pytest.mark.parametrize("name", ["database.dump", "signing.key", "files.jsonl", "files"])
async def test_a_damaged_backup_is_refused_and_leaves_the_data_folder_empty(name, copy, tmp_path):
    damaged = copy / name if name != "files" else next(copy.rglob("note.txt"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"~")

    with pytest.raises(BadInput, match="The backup is damaged"):
        await verify_backup(copy, show=silent)
    with pytest.raises(BadInput, match="The backup is damaged"):
        await restore(settings_in(tmp_path / "data"), copy)
    assert names_in(tmp_path / "data") == []


async def test_a_backup_without_one_of_its_files_is_refused(copy, tmp_path):
    next(copy.rglob("note.txt")).unlink()

    with pytest.raises(NotFound, match=r"note\.txt is missing"):
        await restore(settings_in(tmp_path / "data"), copy)


async def test_a_tar_file_that_is_cut_off_is_refused(made, tmp_path):
    with tarfile.open(tmp_path / "whole.tar", "w") as tar:
        for path in sorted(made.rglob("*"), key=lambda path: path.name == "manifest.json"):
            tar.add(path, path.relative_to(made), recursive=False)
    data = (tmp_path / "whole.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(data[: len(data) // 2])

    assert (await verify_backup(tmp_path / "whole.tar", show=silent)).files.count == 1
    with pytest.raises(BadInput, match="not a complete backup"):
        await verify_backup(tmp_path / "cut.tar", show=silent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schemaRevision": "9999_later"}, "newer version of Callsheet"),
        ({"postgresql": "99.1"}, "made by PostgreSQL 99.1, and this is PostgreSQL 18"),
        ({"format": 2}, "in the format 2, and this version reads the format 1"),
        ({"rows": {}}, "other numbers of rows than before"),
        ({"databaseSchema": "studio"}, "set CALLSHEET_DATABASE_SCHEMA to it"),
    ],
)
async def test_a_backup_that_this_version_or_these_settings_cannot_use_is_refused(changes, message, copy, tmp_path):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | changes))

    with pytest.raises(CallsheetError, match=message):
        await restore(settings_in(tmp_path / "data"), copy)
    assert not (tmp_path / "data/postgres").exists()


async def test_an_installation_with_its_own_postgresql_is_referred_to_pg_dump(made, tmp_path):
    settings = settings_in(tmp_path / "data", database_url="postgresql://nowhere.invalid/x")

    with pytest.raises(ConfigurationError, match="pg_dump"):
        await backup(settings, tmp_path / "backup")
    with pytest.raises(ConfigurationError, match="pg_restore"):
        await restore(settings, made)
    with pytest.raises(ConfigurationError, match="There is no embedded database"):
        await backup(settings_in(tmp_path / "other"), tmp_path / "backup")
