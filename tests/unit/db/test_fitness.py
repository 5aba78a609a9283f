"""What a database must be, for states that no test server has."""

from dataclasses import replace

import pytest

from callsheet.db.address import parse_address
from callsheet.db.fitness import DatabaseState, require_fitness, require_upgradable
from callsheet.domain.errors import ConfigurationError

ADDRESS = parse_address("postgresql://cs:hush@db/films")
GOOD = DatabaseState(
    version="15.4",
    major_version=15,
    role="cs",
    database="films",
    encoding="UTF8",
    is_standby=False,
    is_read_only=False,
    may_create_schemas=True,
    schemas=[],
    usable_schemas=[],
    schemas_to_create_in=[],
    tables=[],
    forbidden_tables=[],
    views=[],
)


def test_an_old_version_is_refused_and_the_oldest_supported_one_is_not():
    old = replace(GOOD, version="14.19", major_version=14)

    require_upgradable(GOOD, ADDRESS)
    with pytest.raises(ConfigurationError) as caught:
        require_fitness(old, ADDRESS)

    assert (
        caught.value.message == "The database at db/films is PostgreSQL 14.19. Callsheet needs PostgreSQL 15 or newer."
    )


def test_one_missing_schema_and_one_closed_schema_give_both_statements():
    state = replace(GOOD, may_create_schemas=False, schemas=["callsheet"], usable_schemas=["callsheet"])

    with pytest.raises(ConfigurationError) as caught:
        require_upgradable(state, ADDRESS)

    assert caught.value.message.partition("has to run: ")[2] == (
        'CREATE SCHEMA "reporting" AUTHORIZATION "cs"; GRANT USAGE, CREATE ON SCHEMA "callsheet" TO "cs";'
    )
