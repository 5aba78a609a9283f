"""Which errors mean that the database is unavailable, and their reasons in words.

While a process runs, every error of a new connection is an outage: the same settings have worked before. PostgreSQL and
the poolers in front of it refuse connections with almost any SQLSTATE, such as 28P01 while a password is rotated.
"""

from typing import Any, TypeGuard

import asyncpg

from callsheet.domain.errors import DatabaseUnavailable
from callsheet.logs import redact_secrets


class ConnectionRejected(Exception):
    """The server, or a pooler in front of it, refused or ended a connection. `error` is what it said."""

    def __init__(self, error: asyncpg.PostgresError) -> None:
        super().__init__(f"{error.sqlstate}: {error}")
        self.error = error


class NoConnection(Exception):
    """The network between this process and the server failed, or the server did not respond. `error` says how."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error) or type(error).__name__)
        self.error = error


class ReadOnlyDatabase(Exception):
    """The database is read-only: it is a standby, or it is in a read-only mode."""


DATABASE_UNAVAILABLE = (
    ConnectionRejected,
    NoConnection,
    ReadOnlyDatabase,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.ReadOnlySQLTransactionError,  # during a failover
    asyncpg.InsufficientResourcesError,  # disk full, among others
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""Errors of a database that restarts, fails over or is disconnected. They may pass within a moment."""

TRANSIENT_ERRORS = (DatabaseUnavailable, *DATABASE_UNAVAILABLE, OSError, TimeoutError)
"""DATABASE_UNAVAILABLE and errors of the operating system. Only for code that uses the database and no files."""

DATABASE_ERRORS = (*TRANSIENT_ERRORS, asyncpg.PostgresError)
"""All errors of database work. A loop that must go on waits after any of them."""

_DEAD_CONNECTION = (
    ReadOnlyDatabase,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

_REASONS: dict[str, str] = {
    "25006": "is read-only: it is a standby, or in a read-only mode",
    "28": "rejects the login",
    "3D000": "does not exist on its server",
    "53100": "has a full disk",
    "53300": "has no free connections",
    "55000": "does not accept connections",
    "57P01": "restarts or shuts down",
    "57P02": "restarts after a crash",
    "57P03": "is starting, stopping or recovering",
}
"""SQLSTATE, or its class → what the database does."""


def original_error(error: BaseException) -> BaseException:
    """Return the error of the server or of the network, if `error` wraps one."""
    return error.error if isinstance(error, ConnectionRejected | NoConnection) else error


def is_fatal(error: BaseException) -> TypeGuard[asyncpg.PostgresError]:
    """Return whether the server has ended the connection with this error."""
    return isinstance(error, asyncpg.PostgresError) and error.severity_en in ("FATAL", "PANIC")


def condemns_connection(error: BaseException) -> bool:
    """Return whether a connection must not be used again after this error.

    It is broken, or it leads to a server that cannot write. Other connections of the pool probably share its fate.
    """
    return is_fatal(error) or isinstance(error, _DEAD_CONNECTION)


def outage_reason(error: BaseException) -> str:
    """Return a sentence for clients and operators: what the database does. It contains no text of the server."""
    error = original_error(error)
    if isinstance(error, DatabaseUnavailable):
        return error.message
    if isinstance(error, (ReadOnlyDatabase, asyncpg.TargetServerAttributeNotMatched)):
        return f"The database {_REASONS['25006']}."
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate:
        reason = _REASONS.get(error.sqlstate) or _REASONS.get(error.sqlstate[:2])
        if reason is None and is_fatal(error):
            reason = f"or a pooler in front of it, refuses connections (SQLSTATE {error.sqlstate})"
            return f"The database, {reason}."
        if reason is not None:
            return f"The database {reason}."
    return "The database does not respond."


def outage_details(error: BaseException) -> str:
    """Return the class and the text of an error, for logs and operators. Secrets are removed."""
    error = original_error(error)
    name = type(error).__name__
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate:
        name += f" {error.sqlstate}"
    return redact_secrets(f"{name}: {error}" if str(error) else name)


def unavailable(error: BaseException, **facts: Any) -> DatabaseUnavailable:
    """Return the error for callers who do not wait any longer."""
    return DatabaseUnavailable(outage_reason(error), reason=type(original_error(error)).__name__, **facts)
