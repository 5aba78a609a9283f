from uuid import uuid4

import asyncpg
import pytest

from support import debian_postgres


@pytest.fixture(scope="session")
def debian_server():
    """The folder of a running PostgreSQL of Debian, whose socket is in it."""
    if debian_postgres.BINARIES is None:
        pytest.skip("needs a PostgreSQL of Debian: apt-get install postgresql")
    with debian_postgres.running_postgres() as folder:
        yield folder


@pytest.fixture
async def debian_database(debian_server):
    """The name of a new, empty database of the Debian server."""
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(debian_postgres.dsn(debian_server, "postgres"))
    await connection.execute(f"CREATE DATABASE {name}")
    yield name
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()
