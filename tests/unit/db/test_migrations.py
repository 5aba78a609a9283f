"""The rules of migrations: they are in the order of their numbers, and later ones only add."""

import re
from importlib.resources import files

import pytest
from alembic.script import ScriptDirectory

from callsheet.db.compatibility import accepts_this_version, known_revisions, other_revision, revision_number
from callsheet.db.migrations import HEAD, OLDEST_COMPATIBLE

MIGRATIONS = files("callsheet.db").joinpath("migrations")
NARROWING = re.compile(
    r"\bDROP (TABLE|COLUMN|VIEW|FUNCTION|TYPE|SCHEMA)\b|\bRENAME\b|\bSET NOT NULL\b"
    r"|\bALTER COLUMN \w+ (SET DATA )?TYPE\b|\bADD COLUMN (?![^,;]*\bDEFAULT\b)[^,;]*\bNOT NULL\b",
    re.IGNORECASE,
)
"""What breaks code that was written for the schema before."""


def test_the_numbers_of_migrations_rise_along_their_chain():
    chain = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]
    numbers = [revision_number(revision) for revision in chain]

    assert numbers == sorted(set(numbers))
    assert set(chain) == known_revisions()
    assert OLDEST_COMPATIBLE in chain


def test_no_migration_after_the_oldest_compatible_version_takes_anything_away():
    narrowing = [
        (path.name, found[0])
        for path in MIGRATIONS.joinpath("versions").iterdir()
        if path.name.endswith(".sql") and revision_number(path.name) > revision_number(OLDEST_COMPATIBLE)
        if (found := NARROWING.search(re.sub(r"--.*", "", path.read_text())))
    ]

    assert narrowing == [], "raise OLDEST_COMPATIBLE, or keep what earlier versions use: see CONTRIBUTING.md"


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE a",
        "ALTER TABLE a DROP COLUMN b",
        "ALTER TABLE a RENAME b TO c",
        "ALTER TABLE a ALTER COLUMN b TYPE text",
        "ALTER TABLE a ADD COLUMN b text NOT NULL",
    ],
)
def test_what_takes_something_away_is_recognized(sql):
    assert NARROWING.search(sql)


@pytest.mark.parametrize(
    "sql", ["ALTER TABLE a ADD COLUMN b text NOT NULL DEFAULT ''", "ALTER TABLE a ADD COLUMN b text", "DROP INDEX c"]
)
def test_what_only_adds_is_allowed(sql):
    assert not NARROWING.search(sql)


@pytest.mark.parametrize(
    ("revision", "oldest_code", "accepted"),
    [
        (HEAD, None, True),
        (HEAD, "9998_later", True),
        ("9999_later", HEAD, True),
        ("9999_later", OLDEST_COMPATIBLE, True),
        ("9999_later", "9998_later", False),
        ("9999_later", None, False),
        ("9999_later", "without a number", False),
        ("0001_initial", "0001_initial", False),
        ("0005", "0001_initial", False),
        (None, None, False),
    ],
)
def test_a_version_accepts_its_own_schema_and_newer_ones_that_accept_it(revision, oldest_code, accepted):
    assert accepts_this_version(revision, oldest_code) is accepted


def test_the_error_for_another_schema_says_what_to_do():
    assert "run `callsheet db upgrade`" in other_revision("0001_initial", None).message
    assert "upgrade Callsheet here" in other_revision("9999_later", "9998_later").message
    assert "create a new database" in other_revision("0005", None).message
