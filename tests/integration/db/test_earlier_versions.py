"""Processes of different versions on one database: the schema is upgraded while an earlier worker runs."""

import io
import subprocess
import tarfile
from pathlib import Path

import asyncpg
import pytest

from callsheet.db.migrations import HEAD
from callsheet.db.upgrade import current_revision, upgrade
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until
from support.earlier_version import ARCHIVES, revision_of, unpack, worker_of

ROOT = Path(__file__).parents[3]


def plan_of(folder):
    """Return a plan of one job of each kind, which notes its payment in a folder."""
    jobs = [
        {"id": "file", "operation": "write", "params": {"text": "of an earlier version"}},
        {"id": "after", "operation": "noop", "params": {"value": {"ref": "file"}}, "dependsOn": ["file"]},
        {"id": "again", "operation": "fail", "params": {"times": 1, "transient": True}},
        {"id": "once", "operation": "pay-once", "params": {"ledger": str(folder / "ledger")}},
        {"id": "parent", "operation": "run-children", "params": {"jobs": [{"id": "a"}, {"id": "b"}]}},
    ]
    return {"jobs": jobs}


@pytest.fixture
def settings_of(settings):
    """Return a function that returns the settings for a database."""
    return lambda address: settings.model_copy(update={"database_url": type(settings.database_url)(address)})


def sleeping(seconds):
    return {"jobs": [{"id": f"j{n}", "operation": "sleep", "params": {"seconds": seconds}} for n in range(8)]}


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
async def test_a_worker_of_an_earlier_version_continues_on_the_new_schema_beside_new_workers(
    archive, new_database, settings_of, tmp_path
):
    source = unpack(archive, tmp_path / "earlier")
    address = new_database(empty=True)
    await upgrade(address, to=revision_of(source))
    settings, log = settings_of(address), tmp_path / "log"
    with worker_of(source, settings, log, name="earlier") as process:
        await until(lambda: "worker started" in log.read_text(), timeout=120)
        revision_before = await current_revision(address)
        await upgrade(address)
        async with running_engine(ALL, settings=settings, workers=0) as engine:
            alone = await engine.run(plan_of(tmp_path), timeout=120)
            await engine.start_worker({"test": 2}, name="new")
            executions = [await engine.submit(sleeping(0.3)) for _ in range(4)]
            beside = [await engine.ended(each, timeout=120) for each in executions]
        process.terminate()
        code = process.wait(60)

    assert revision_before == revision_of(source) != HEAD
    assert alone.status == "succeeded"
    assert {job.worker for job in alone.jobs} == {"earlier"}
    assert (tmp_path / "ledger").read_text() == "1\n"
    assert [artifact.size for artifact in alone.artifacts] == [21]
    assert {each.status for each in beside} == {"succeeded"}
    assert {job.worker for each in beside for job in each.jobs} == {"earlier", "new"}
    assert code == 0, log.read_text()
    assert "[error" not in log.read_text()


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
def test_an_archived_version_equals_its_commit(archive):
    commit = archive.name.removesuffix(".tar.xz")
    if subprocess.run(["git", "cat-file", "-e", commit], cwd=ROOT, capture_output=True).returncode != 0:
        pytest.skip(f"this clone has no commit {commit}")
    original = subprocess.run(
        ["git", "archive", commit, "pyproject.toml", "src/callsheet"], cwd=ROOT, capture_output=True, check=True
    ).stdout

    assert contents(archive.read_bytes()) == {
        name: data for name, data in contents(original).items() if name.endswith((".py", ".sql", "pyproject.toml"))
    }


def contents(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}


async def test_a_worker_starts_on_a_newer_schema_that_accepts_its_version(database_url, settings_of, tmp_path):
    await make_newer(database_url, oldest_code=HEAD)
    log = tmp_path / "log"
    with worker_of(ROOT / "src", settings_of(database_url), log, name="this"):
        async with running_engine(ALL, settings=settings_of(database_url), workers=0) as engine:
            execution = await engine.run(plan_of(tmp_path), timeout=120)

    assert execution.status == "succeeded"
    assert {job.worker for job in execution.jobs} == {"this"}
    assert await current_revision(database_url) == "9999_later"


async def test_a_worker_refuses_a_newer_schema_that_does_not_accept_its_version(database_url, settings_of, tmp_path):
    await make_newer(database_url, oldest_code="9998_contracted")
    log = tmp_path / "log"
    with worker_of(ROOT / "src", settings_of(database_url), log, name="this") as process:
        await until(lambda: process.poll() is not None, timeout=120)

    assert process.returncode == 2
    assert "schema revision '9999_later', of a newer version of Callsheet" in log.read_text()
    assert f"accepts versions from revision '9998_contracted' on, and this one has '{HEAD}'" in log.read_text()


async def make_newer(address, *, oldest_code):
    connection = await asyncpg.connect(address, server_settings={"search_path": "callsheet"})
    await connection.execute("UPDATE alembic_version SET version_num = '9999_later'")
    await connection.execute("UPDATE schema_compatibility SET oldest_code = $1", oldest_code)
    await connection.execute("ALTER TABLE executions ADD COLUMN later text; CREATE TABLE later (id integer)")
    await connection.close()
