"""The database: reachable, suitable, with the schema of this version."""

import asyncio
from collections.abc import AsyncIterator

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import CONNECTION_ERRORS, Installation
from callsheet.db.compatibility import other_revision
from callsheet.db.embedded.initdb import check_version
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.embedded.staging import refuse_during_restore
from callsheet.db.fitness import DatabaseState, inspect, require_upgradable, require_usable, require_writable
from callsheet.db.migrations import HEAD
from callsheet.domain.errors import CallsheetError, DatabaseUnavailable
from callsheet.settings import Settings
from callsheet.wiring import configured_address, database_unavailable

_UNAVAILABLE = "start the database, and check its address, its user and its password in DATABASE_URL"
_UNSUITABLE = 'see docs/going-to-production.md, "Which database"'


async def database(installation: Installation) -> AsyncIterator[Finding]:
    """Report whether the database can be used."""
    settings = installation.settings
    if settings.database_url is None:
        yield await asyncio.to_thread(_embedded, settings)
        return
    address = configured_address(settings)
    for line in address.ignored:
        yield Finding("database.parameter_ignored", f"DATABASE_URL: {line}", "remove the parameter")
    try:
        state = await inspect(address)
    except (*CONNECTION_ERRORS, ValueError) as error:
        yield Finding("database.unavailable", database_unavailable(settings, error).message, _UNAVAILABLE)
        return
    try:
        yield _state_finding(settings, state)
    except DatabaseUnavailable as error:
        yield Finding("database.unavailable", error.message, _UNAVAILABLE)
    except CallsheetError as error:
        yield Finding("database.unsuitable", error.message, _UNSUITABLE)


def _state_finding(settings: Settings, state: DatabaseState) -> Finding:
    """Return the finding of a database that responds. Raises CallsheetError for one that cannot be used."""
    address = configured_address(settings)
    require_usable(state, address)
    if state.revision is None:
        require_upgradable(state, address)
        return Finding("database.no_schema", "no schema yet", "run `callsheet db upgrade` or `callsheet up`")
    if not state.accepts_this_version:
        message = other_revision(state.revision, state.oldest_code).message
        return Finding("database.other_revision", message, "use one version of Callsheet everywhere")
    require_writable(state, address)
    if state.revision != HEAD:
        message = f"the schema {state.revision} is of a newer version, which accepts this one, {HEAD}"
        return Finding("database.newer_revision", message, "upgrade this machine soon")
    return ok("database", f"reachable, PostgreSQL {state.version}, schema {address.schema} {state.revision}")


def _embedded(settings: Settings) -> Finding:
    folder = settings.data_dir / "postgres"
    if not folder.is_dir():
        return ok("database", "embedded, will be created at the first start")
    refuse_during_restore(settings.data_dir)
    check_version(folder / "cluster")
    running = EmbeddedPostgres(folder).server_pid is not None
    return ok("database", f"embedded in {folder}, {'running' if running else 'not running'}")
