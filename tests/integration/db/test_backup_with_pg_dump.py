"""The commands of the documentation that back up and restore a database outside of Callsheet."""

import asyncio
import os
import re
import sys
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from callsheet.backup.row_counts import count_rows
from callsheet.db.address import parse_address
from callsheet.db.migrations import HEAD
from callsheet.db.session import open_session
from callsheet.db.upgrade import current_revision, upgrade
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL
from support import debian_postgres
from support.debian_postgres import dsn

PAGE = Path(__file__).parents[3] / "docs/backup-and-upgrade.md"
PLAN = {"jobs": [{"id": "a", "operation": "write"}, {"id": "b", "operation": "noop", "dependsOn": ["a"]}]}


@pytest.fixture
async def new_database_name(debian_server):
    """The name of a second empty database."""
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(dsn(debian_server, "postgres"))
    await connection.execute(f"CREATE DATABASE {name}")
    yield name
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


def documented_commands():
    blocks = re.findall(r"^```console own-postgresql\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    assert [line.split()[0] for line in lines] == ["callsheet", "pg_dump", "pg_restore", "callsheet"]
    return lines[1:]  # the first one is sent to a server, which this test does not have


async def run(line, folder, **variables):
    path = os.pathsep.join([str(debian_postgres.BINARIES), str(Path(sys.executable).parent), os.environ["PATH"]])
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", line),
        cwd=folder,
        env={**os.environ, "PATH": path, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        printed, _ = await process.communicate()
    assert process.returncode == 0, f"{line}: {printed.decode()}"


def with_database(settings, address):
    return settings.model_copy(update={"database_url": type(settings.database_url)(address)})


async def rows_of(address):
    connection = await open_session(parse_address(address))
    try:
        return await count_rows(connection)
    finally:
        await connection.close()


async def test_the_documented_commands_back_up_a_database_and_restore_it(
    debian_server, debian_database, new_database_name, settings, tmp_path
):
    old, new = dsn(debian_server, debian_database), dsn(debian_server, new_database_name)
    async with running_engine(ALL, settings=with_database(settings, old)) as engine:
        ended = await engine.run(PLAN, timeout=60)
        waiting = await engine.submit({"jobs": [{"id": "a", "operation": "noop"}]}, startAt="2099-01-01T00:00:00Z")

    for line in documented_commands():
        await run(line, tmp_path, CALLSHEET_DATABASE_URL=old, NEW_DATABASE_URL=new)

    rows = await rows_of(new)
    assert rows == await rows_of(old)
    assert await current_revision(new) == HEAD
    async with running_engine(ALL, settings=with_database(settings, new)) as engine:
        restored = await engine.execution(ended.execution_id)
        [kept] = (await engine.execution(waiting)).jobs
        again = await engine.run(PLAN, timeout=60)
    assert (rows["artifacts"], restored.status, kept.status, again.status) == (1, "succeeded", "scheduled", "succeeded")
    assert [(job.job_id, job.status, job.worker, job.finished_at) for job in restored.jobs] == [
        (job.job_id, job.status, job.worker, job.finished_at) for job in ended.jobs
    ]


async def test_a_dump_of_an_earlier_schema_is_upgraded_after_its_restore(
    debian_server, debian_database, new_database_name, tmp_path
):
    old, new = dsn(debian_server, debian_database), dsn(debian_server, new_database_name)
    await upgrade(old, to="0012_schedules")

    for line in documented_commands():
        await run(line, tmp_path, CALLSHEET_DATABASE_URL=old, NEW_DATABASE_URL=new)

    assert (await current_revision(old), await current_revision(new)) == ("0012_schedules", HEAD)
