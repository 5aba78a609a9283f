"""Names of statements: a second statement with a name would silently replace the first."""

import re
from collections import Counter
from pathlib import Path

import callsheet.db

SQL = Path(callsheet.db.__file__).parent / "sql"


def test_no_two_statements_have_the_same_name():
    names = [
        name for path in SQL.glob("*.sql") for name in re.findall(r"^-- name: (\w+)", path.read_text(), re.MULTILINE)
    ]

    assert len(names) > 200
    assert [name for name, count in Counter(names).items() if count > 1] == []
