"""Errors of the command line: messages on stderr, and the exit status of each error class."""

import sys
import traceback
from collections.abc import Iterator
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from callsheet.client.errors import RequestFailed, Unreachable, WaitTimeout
from callsheet.domain.errors import (
    BadInput,
    BudgetExceeded,
    CallsheetError,
    ConfigurationError,
    Conflict,
    DatabaseUnavailable,
    MissingScope,
    NotFound,
    Problem,
    ProblemList,
    TooLarge,
    Unauthorized,
)

EXIT_CODES = {
    0: "ok",
    1: "a job failed",
    2: "wrong usage, plan or settings",
    3: "not found",
    4: "not authorized",
    5: "conflict with the current state",
    6: "server or database unreachable",
    70: "internal error of Callsheet",
    124: "timed out while waiting",
    130: "interrupted",
}


class AmbiguousId(ProblemList):
    """Several executions match the id"""

    def __init__(self, prefix: str, found: list[dict[str, Any]], *, more: bool) -> None:
        lines = [Problem("", "ambiguous", _summary(execution)) for execution in found]
        lines += [Problem("", "ambiguous", "…")] if more else []
        super().__init__(lines, f"The ids of several executions start with '{prefix}'; give more characters:")


def _summary(execution: dict[str, Any]) -> str:
    words = (execution["executionId"], execution["status"], execution.get("name"))
    return " ".join(word for word in words if word)


_EXIT_CODE_OF: list[tuple[type[CallsheetError], int]] = [
    (WaitTimeout, 124),
    (Unreachable, 6),
    (DatabaseUnavailable, 6),
    (Conflict, 5),
    (Unauthorized, 4),
    (MissingScope, 4),
    (BudgetExceeded, 5),
    (NotFound, 3),
    (BadInput, 2),
    (TooLarge, 2),
    (ConfigurationError, 2),
]
_EXIT_CODE_OF_STATUS = {401: 4, 402: 5, 403: 4, 404: 3, 408: 6, 409: 5, 429: 6, 502: 6, 503: 6, 504: 6}
_SERVER_ERROR = 500
_INTERNAL = 70


def exit_code_of(error: CallsheetError) -> int:
    """Return the exit status of an error."""
    if isinstance(error, RequestFailed):
        return _EXIT_CODE_OF_STATUS.get(error.http_status, 2 if error.http_status < _SERVER_ERROR else _INTERNAL)
    return next((code for kind, code in _EXIT_CODE_OF if isinstance(error, kind)), 1)


class ErrorHandlingGroup(TyperGroup):
    """Root command that prints exceptions as messages and sets the exit status."""

    unexpected_exit_code: ClassVar[int] = 70

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises Exit with the exit status of its error."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _print("Interrupted.")
            raise typer.Exit(130) from None
        except CallsheetError as error:
            _print_error(error, verbose=bool(ctx.obj))
            raise typer.Exit(exit_code_of(error)) from None
        except BrokenPipeError:
            # The reader of the output, such as `head`, has closed it. Python exits quietly.
            raise
        except Exception as error:
            if type(error).__module__.startswith("typer"):
                raise
            _print_unexpected_error(error, verbose=bool(ctx.obj))
            raise typer.Exit(self.unexpected_exit_code) from None


def _print_error(error: CallsheetError, *, verbose: bool) -> None:
    for line in error_lines(error):
        _print(line)
    for cause in _causes(error):
        _print(f"  because: {type(cause).__name__}: {cause}" if str(cause) else f"  because: {type(cause).__name__}")
    if verbose:
        traceback.print_exception(error)


def error_lines(error: CallsheetError) -> list[str]:
    """Return the lines of an error: the message, then each problem with its path."""
    if isinstance(error, ProblemList):
        return [error.message, *(f"  {problem!r}" for problem in error.problems)]
    if isinstance(error, Unauthorized):
        return [
            error.message,
            "  Set the key of the server with --api-key, CALLSHEET_API_KEY or CALLSHEET_API_KEY_FILE.",
        ]
    return [error.message]


def _causes(error: BaseException) -> Iterator[BaseException]:
    while (cause := error.__cause__) is not None:
        if str(cause) not in str(error):
            yield cause
        error = cause


def _print_unexpected_error(error: Exception, *, verbose: bool) -> None:
    from callsheet.domain.ids import new_id

    _print(f"Internal error of Callsheet: {type(error).__name__}: {error}")
    _print(f"  Incident {new_id()}. Please report it. `callsheet -v …` prints the traceback.")
    if verbose:
        traceback.print_exception(error)


def _print(line: str) -> None:
    from callsheet.domain.plain_text import plain_text
    from callsheet.logs import redact_secrets

    print(plain_text(redact_secrets(line)), file=sys.stderr)  # noqa: T201 - errors of commands go to stderr
