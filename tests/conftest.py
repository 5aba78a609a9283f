"""One PostgreSQL server for the whole test run, and a new database per test, copied from a migrated template."""

import asyncio
import fcntl
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import imageio_ffmpeg
import psutil
import pytest
import structlog

from callsheet.db.database import Database
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.upgrade import upgrade
from callsheet.fakes.providers.all import FAKES
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings
from callsheet.testing.operations import ALL
from callsheet.wiring import open_runtime
from support.stored_events import faults_of_stored_events

# Without `configure_logging`, structlog prints the local variables of each exception, which takes seconds.
structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback

TEMPLATE = "callsheet_template"
# The server of the tests need not survive a crash of the machine. Without fsync, a new database takes 0.1 s; with it
# 0.3 s or, on a busy disk, seconds. Tests of durability start a separate server.
_CONFIG = {
    "max_connections": "400",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "256MB",
    # For the queries of tests; Callsheet sets the search path of its own sessions.
    "search_path": "callsheet",
}
_FOLDER = "CALLSHEET_TESTS_POSTGRES"
_ROOM = 4 * 2**30
"""Bytes that must be free in memory to keep the databases there. Those of the whole suite took 0.2 GB at most."""


def pytest_configure(config):
    """The first process of the run creates the folder; the others find it in their environment."""
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="callsheet-tests-", dir=_folder_in_memory()))
        os.environ[_FOLDER] = str(folder)
        # The processes that tests start would compile the whole package each time: half a second.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        _put_bundled_ffmpeg_on_path(folder / "bin")


def _folder_in_memory():
    """A file system in memory with room for the databases, or None: on a busy disk, one takes 0.2 s of CPU time."""
    shared = Path("/dev/shm")
    has_room = shared.is_dir() and min(shutil.disk_usage(shared).free, psutil.virtual_memory().available) > _ROOM
    return shared if has_room and os.access(shared, os.W_OK) else None


def _put_bundled_ffmpeg_on_path(folder):
    """All machines test with the same FFmpeg. It also starts in 15 ms of CPU time; that of Debian takes 100 ms."""
    folder.mkdir()
    (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    os.environ["PATH"] = os.pathsep.join([str(folder), os.environ["PATH"]])


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        folder = Path(os.environ.pop(_FOLDER))
        os.environ["PATH"] = os.environ["PATH"].removeprefix(f"{folder / 'bin'}{os.pathsep}")
        server = EmbeddedPostgres(folder / "postgres")
        if server.server_pid is not None:
            # A test process was killed before it could stop the server.
            server.start()
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _ignore_settings_of_the_environment():
    """Remove the setting variables of the developer's shell."""
    with pytest.MonkeyPatch.context() as patch:
        names = [name for f in Settings.model_fields.values() for name in getattr(f.validation_alias, "choices", ())]
        for settings_class in [fake.settings_class for fake in FAKES]:
            names += [name for field in settings_class.model_fields for name in settings_class.variables(field)]
            patch.setitem(settings_class.model_config, "env_file", None)
        for name in names:
            patch.delenv(str(name).upper(), raising=False)
            patch.delenv(f"{str(name).upper()}_FILE", raising=False)
        yield


@pytest.fixture(scope="session")
def postgres():
    """The DSN of the shared server, which has a template database."""
    folder = Path(os.environ[_FOLDER])
    server = EmbeddedPostgres(folder / "postgres", config=_CONFIG)
    dsn = server.start()
    with (folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _run(_create_template(dsn))
    yield dsn
    server.stop()


@pytest.fixture
def new_database(postgres):
    """Create databases: call it for the DSN of a new one; `empty=True` creates one without a schema."""
    with databases_in(postgres) as create:
        yield create


@pytest.fixture(scope="module")
def new_shared_database(postgres):
    """Like new_database, for databases that the tests of a module share."""
    with databases_in(postgres) as create:
        yield create


@pytest.fixture
def database_url(new_database):
    """The DSN of a new, migrated database.

    Its commits are asynchronous. Tests of durability start a separate server.
    """
    return new_database()


@pytest.fixture
def settings(tmp_path, database_url):
    """Settings for a runtime in a temporary folder, with short retry delays."""
    return Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        database_url=database_url,
        retry_base=0.02,
        retry_cap=0.2,
        schedule_interval=0.05,
        grace_period=5,
    )


@pytest.fixture
def catalog():
    """The operations of `callsheet.testing`. A test module can override this fixture."""
    return Catalog(ALL)


@pytest.fixture
async def database(database_url):
    """An open database."""
    async with Database(database_url) as database:
        yield database


@pytest.fixture
async def runtime(settings, catalog):
    """An open runtime on a new database."""
    async with open_runtime(settings, catalog) as runtime:
        yield runtime


def in_database(dsn, name):
    """Return the DSN of another database of the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@contextmanager
def databases_in(dsn):
    """Yield a function that creates databases. They are dropped at the end."""
    names = []

    def create(*, empty=False):
        names.append(name := f"test_{uuid4().hex}")
        _run(_create(dsn, name, "template0" if empty else TEMPLATE))
        return in_database(dsn, name)

    yield create
    faults = [fault for name in names for fault in _run(_faults_of_events(in_database(dsn, name)))]
    for name in names:
        _run(_execute(dsn, f"DROP DATABASE {name} WITH (FORCE)"))
    assert faults == [], "the test stored events that `domain.events` does not describe"


async def _create_template(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        if await connection.fetchval("SELECT datistemplate FROM pg_database WHERE datname = $1", TEMPLATE):
            return
        await connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
        await connection.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
        await upgrade(in_database(dsn, TEMPLATE))
        await connection.execute(f"ALTER DATABASE {TEMPLATE} IS_TEMPLATE true ALLOW_CONNECTIONS false")
    finally:
        await connection.close()


async def _create(dsn, name, template):
    # A file copy takes 50 ms of CPU time, a copy through the WAL 300 ms.
    await _execute(dsn, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")


async def _faults_of_events(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        return await faults_of_stored_events(connection)
    finally:
        await connection.close()


async def _execute(dsn, statement):
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _run(coroutine):
    """Run a coroutine, also from within an event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


@pytest.fixture
def use_models_file(monkeypatch):
    """Return a function that sets the models file of this process and its child processes."""
    return lambda file: monkeypatch.setenv("CALLSHEET_MODELS_FILE", str(file))
