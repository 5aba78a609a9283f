"""A data folder of another major version of PostgreSQL: refused unchanged, and moved to this version by command."""

import asyncio
import os
import subprocess
import sys

import asyncpg
import pytest

from callsheet.backup.server_upgrade import upgrade_server
from callsheet.backup.staging import open_staging
from callsheet.cli.diagnostics import run_checks
from callsheet.cli.transfer_bar import transfer_bar
from callsheet.db.embedded.initdb import environment, find_programs
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.embedded.run_as_user import chown_tree, select_account
from callsheet.db.upgrade import current_revision, upgrade
from callsheet.domain.errors import ConfigurationError, Conflict
from callsheet.settings import Settings

PROGRAMS = find_programs("16")
"""The package brings PostgreSQL 16 beside 18."""


def settings_in(folder):
    return Settings(_env_file=None, data_dir=folder)


def move(folder, **options):
    return upgrade_server(settings_in(folder), show=transfer_bar, **{"programs": None, **options})


def contents(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


def make_cluster_of_16(folder):
    """Create a cluster as an earlier Callsheet would have."""
    folder.mkdir(mode=0o711, parents=True)
    account = select_account(PROGRAMS / "initdb", folder, None).with_passwd_entry()
    chown_tree(folder, account)
    arguments = (f"--pgdata={folder / 'cluster'}", "--username=callsheet", "--encoding=UTF8", "--locale=C")
    command = account.command(PROGRAMS / "initdb", *arguments, "--auth=trust", "--no-sync", folder=folder)
    subprocess.run(command, check=True, env=environment(), capture_output=True, start_new_session=True)


@pytest.fixture
def other_folder(tmp_path):
    """Return a function that makes a data folder whose database says that another version created it."""

    def make(version):
        data = tmp_path / "data/postgres/cluster"
        data.mkdir(parents=True)
        (data / "PG_VERSION").write_text(f"{version}\n")
        (data / "base").mkdir()
        return tmp_path / "data"

    return make


@pytest.mark.parametrize(
    ("version", "remedy"), [("19", "Use a version of Callsheet with that PostgreSQL"), ("17", "db upgrade-server`")]
)
async def test_a_database_of_another_postgresql_is_refused_and_stays_as_it_is(version, remedy, other_folder):
    folder = other_folder(version)
    before = contents(folder / "postgres/cluster")

    with pytest.raises(
        ConfigurationError, match=f"created by PostgreSQL {version}, but this is PostgreSQL 18"
    ) as start:
        EmbeddedPostgres(folder / "postgres").start()
    findings = await run_checks({"data_dir": folder}, None)

    [finding] = [each for each in findings if each.subject == "database"]
    assert remedy in start.value.message
    assert (finding.level, finding.message) == ("error", start.value.message)
    assert contents(folder / "postgres/cluster") == before


async def test_a_database_of_a_newer_postgresql_is_not_moved(other_folder):
    with pytest.raises(ConfigurationError, match="Use a version of Callsheet with that PostgreSQL"):
        await move(other_folder("19"))


async def test_without_the_programs_of_the_earlier_postgresql_a_backup_with_them_is_the_way(other_folder, tmp_path):
    folder = other_folder("17")
    before = contents(folder)

    with pytest.raises(ConfigurationError, match=r"`callsheet backup`\), and restore that with this version"):
        await move(folder, programs=tmp_path)

    assert contents(folder) == before


async def test_a_database_of_an_earlier_postgresql_is_moved_with_all_its_rows_and_kept(tmp_path):
    folder = tmp_path / "data"
    make_cluster_of_16(folder / "postgres")
    with EmbeddedPostgres(folder / "postgres", programs=PROGRAMS) as dsn:
        await upgrade(dsn)
        connection = await asyncpg.connect(dsn, server_settings={"search_path": "callsheet"})
        await connection.execute(
            "INSERT INTO events (execution_id, number, type, data)"
            " SELECT gen_random_uuid(), n, 'job.running', jsonb_build_object('text', repeat('ä', n))"
            " FROM generate_series(1, 500) n"
        )
        digest = "SELECT md5(string_agg(e::text, '' ORDER BY e::text COLLATE \"C\")) FROM events e"
        before = await connection.fetchval(digest)
        with pytest.raises(Conflict, match="stop them first"):
            await move(folder)
        await connection.close()

    command = [sys.executable, "-m", "callsheet", "db", "upgrade-server", "--data-dir", str(folder)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, env=os.environ)

    assert done.returncode == 0, done.stderr
    assert f"delete {folder / 'postgres/cluster-16'}" in done.stderr
    assert (folder / "postgres/cluster-16/PG_VERSION").read_text() == "16\n"
    assert not (folder / "restoring").exists()
    with EmbeddedPostgres(folder / "postgres") as dsn:
        connection = await asyncpg.connect(dsn, server_settings={"search_path": "callsheet"})
        assert await connection.fetchval(digest) == before
        assert (await connection.fetchval("SHOW server_version")).startswith("18.")
        assert await current_revision(dsn) is not None
        await connection.close()
    assert await move(folder) is None


async def test_a_move_that_was_killed_between_two_renames_starts_again(other_folder):
    folder = other_folder("17")
    (folder / "postgres/cluster").rename(folder / "postgres/cluster-17")
    with open_staging(folder), pytest.raises(ConfigurationError, match="programs of PostgreSQL 17"):
        await move(folder, programs=folder)

    assert (folder / "postgres/cluster/PG_VERSION").read_text() == "17\n"
