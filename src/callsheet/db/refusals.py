"""Why a connection to the database failed, as an error for people, with what to do and without any secret."""

import asyncpg

from callsheet.db.address import DatabaseAddress, invalid_address
from callsheet.db.outages import ReadOnlyDatabase
from callsheet.domain.errors import CallsheetError, ConfigurationError, DatabaseUnavailable
from callsheet.logs import redact_secrets

_INVALID = (asyncpg.exceptions.ClientConfigurationError, ValueError)
_INVALID_SETTING = (
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidParameterValueError,
    asyncpg.CantChangeRuntimeParamError,
)
REJECTIONS = (
    *_INVALID,
    *_INVALID_SETTING,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
"""Errors of a first connection that waiting does not repair."""


def connection_error(address: DatabaseAddress, error: BaseException) -> CallsheetError:
    """Return the error for a database that cannot be used: with its address, the reason, and what to do."""
    if isinstance(error, CallsheetError):
        return error
    reason = redact_secrets(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    if isinstance(error, _INVALID) and not isinstance(error, OSError):  # a TLS error is both
        return invalid_address(reason)
    if isinstance(error, _INVALID_SETTING):
        return ConfigurationError(
            f"The database at {address} rejects a setting of `options` in DATABASE_URL ({reason})."
        )
    return DatabaseUnavailable(_sentence(address, error, reason))


def _sentence(address: DatabaseAddress, error: BaseException, reason: str) -> str:
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return f"The database at {address} rejects the login ({reason}). Check user and password in DATABASE_URL."
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return f"The server at {address} does not have this database ({reason}). Check DATABASE_URL, or create it."
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return (
            f"The database at {address} rejects the role ({reason}). Its owner or a superuser has to run: GRANT "
            f'CONNECT ON DATABASE "{address.database or address.user}" TO "{address.user}";'
        )
    if isinstance(error, (ReadOnlyDatabase, asyncpg.TargetServerAttributeNotMatched)):
        return f"No server at {address} can be written to: each is a standby or read-only. Check DATABASE_URL."
    return (
        f"The database at {address} cannot be reached ({reason}). Check DATABASE_URL, and that PostgreSQL is running."
    )
