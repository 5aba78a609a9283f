"""Which revisions of the schema this version of Callsheet can use.

A version needs the schema of its own revision (`HEAD`) or a newer one. A newer schema says which versions it accepts:
each upgrade stores the revision of the oldest one. So the schema is upgraded first, while processes of the earlier
version run, and start again if they must; then the processes are replaced.
"""

import re
from pathlib import Path

from callsheet.db.migrations import HEAD
from callsheet.domain.errors import ConfigurationError

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def known_revisions() -> set[str]:
    """Return the revisions that this version can upgrade from, with its own."""
    # The file name of a migration is its revision. Reading the names avoids the slow import of Alembic.
    return {path.stem for path in _VERSIONS.glob("[0-9]*.py")}


def accepts_this_version(revision: str | None, oldest_code: str | None) -> bool:
    """Return whether this version may use a schema.

    `oldest_code` is the revision of the oldest version that the schema accepts, as it is stored in the database; None
    for a schema that stores none.

        accepts_this_version("0031_later", "0018_schema_compatibility")  # True
    """
    if revision is None or revision == HEAD:
        return revision == HEAD
    oldest, own, found = (revision_number(each or "") for each in (oldest_code, HEAD, revision))
    if oldest is None or own is None or found is None:
        return False
    return oldest <= own < found


def revision_number(revision: str) -> int | None:
    """Return the number that a revision starts with, which rises with each migration; None without one."""
    found = re.match(r"\d+", revision)
    return int(found[0]) if found else None


def other_revision(revision: str, oldest_code: str | None) -> ConfigurationError:
    """Return the error for a schema that this version cannot use, with what to do."""
    if revision in known_revisions():
        return ConfigurationError(
            f"The database is at schema revision '{revision}', and this version requires '{HEAD}' or a newer one that "
            "accepts it; run `callsheet db upgrade`."
        )
    if oldest_code is not None and (revision_number(revision) or 0) > (revision_number(HEAD) or 0):
        return ConfigurationError(
            f"The database is at schema revision '{revision}', of a newer version of Callsheet. It accepts versions "
            f"from revision '{oldest_code}' on, and this one has '{HEAD}': upgrade Callsheet here."
        )
    return ConfigurationError(
        f"The database is at schema revision '{revision}', which this version of Callsheet does not know (it uses "
        f"'{HEAD}'). Either a newer version of Callsheet created it: then upgrade Callsheet. Or a version from before "
        "0.1 created it, which cannot be migrated: then create a new database and set DATABASE_URL to it, or for the "
        "embedded PostgreSQL move the data directory away."
    )
