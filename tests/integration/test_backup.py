"""Backup and restore of an installation with the embedded database, by the real commands and servers."""

import asyncio
import hashlib

import pytest

from callsheet.backup.create import create_backup
from callsheet.backup.restore import restore_backup
from callsheet.cli.transfer_bar import transfer_bar
from callsheet.settings import Settings
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL


def settings_in(folder, **changes):
    return Settings(_env_file=None, data_dir=folder, grace_period="5s", **changes)


def backup(settings, path, **options):
    return create_backup(settings, path, show=transfer_bar, **{"with_files": True, **options})


def restore(settings, path, **options):
    return restore_backup(settings, path, show=transfer_bar, **{"replace": False, **options})


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """The data folder of an installation with a finished execution, which no test changes."""
    folder = tmp_path_factory.mktemp("installation") / "data"
    asyncio.run(fill(settings_in(folder)))
    return folder


async def fill(settings):
    async with running_engine(ALL, settings=settings) as engine:
        execution = await engine.run(
            {"jobs": [{"id": "a", "operation": "write", "params": {"text": "kept"}}]}, timeout=60
        )
        assert execution.status == "succeeded"


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
async def test_a_backup_is_restored_with_its_rows_files_and_signing_key(name, installation, tmp_path):
    made = await backup(settings_in(installation), tmp_path / name)
    restored = await restore(settings_in(tmp_path / "data"), tmp_path / name)

    async with running_engine(ALL, settings=settings_in(tmp_path / "data"), workers=0) as engine:
        async with engine.runtime.database.connection() as connection:
            [artifact] = await connection.fetch("SELECT key, sha256 FROM artifacts")
        contents = b"".join([chunk async for chunk in engine.runtime.storage.stream(artifact["key"])])
    assert made == restored
    assert made.problems == []
    assert made.rows["artifacts"] == made.files.count == 1
    assert hashlib.sha256(contents).hexdigest() == artifact["sha256"]
    assert (tmp_path / "data/signing.key").read_text() == (installation / "signing.key").read_text()
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []
    assert (tmp_path / name).stat().st_mode & 0o077 == 0
