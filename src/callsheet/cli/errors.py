"""How the command line tells what went wrong: one line per cause on stderr, and an exit status by its kind."""

import sys
import traceback
from collections.abc import Iterator
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from callsheet.domain.errors import (
    BadInput,
    CallsheetError,
    ConfigurationError,
    Conflict,
    DatabaseUnreachable,
    NotFound,
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
    5: "conflict with the present state",
    6: "server or database unreachable",
    70: "a fault of Callsheet",
    124: "timed out waiting",
    130: "interrupted",
}


class Unreachable(CallsheetError):
    """The server cannot be reached."""

    code = "unreachable"
    status = 503


class WaitedTooLong(CallsheetError):
    """The execution goes on, but the time to wait for it is over."""

    code = "timed_out_waiting"


class CommandFailed(CallsheetError):
    """The server refused the request; `exit_code` follows from its answer."""

    code = "command_failed"

    def __init__(self, message: str, *, exit_code: int, problems: list[str]) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.problems = problems


_CODES: list[tuple[type[CallsheetError], int]] = [
    (WaitedTooLong, 124),
    (Unreachable, 6),
    (DatabaseUnreachable, 6),
    (Conflict, 5),
    (Unauthorized, 4),
    (NotFound, 3),
    (BadInput, 2),
    (TooLarge, 2),
    (ConfigurationError, 2),
]


def exit_code_of(error: CallsheetError) -> int:
    """Return the exit status for an error, by its class."""
    if isinstance(error, CommandFailed):
        return error.exit_code
    return next((code for kind, code in _CODES if isinstance(error, kind)), 1)


class ErrorHandlingGroup(TyperGroup):
    """The root of the commands: nothing that a command raises gets past it as a traceback."""

    unforeseen_exit_code: ClassVar[int] = 70

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raises Exit with the status that its failure has."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _say("Interrupted.")
            raise typer.Exit(130) from None
        except CallsheetError as error:
            _tell(error, verbose=bool(ctx.obj))
            raise typer.Exit(exit_code_of(error)) from None
        except BrokenPipeError:
            # Whoever read the output has seen enough.
            raise
        except Exception as error:
            if type(error).__module__.startswith("typer"):
                raise
            _tell_unforeseen(error, verbose=bool(ctx.obj))
            raise typer.Exit(self.unforeseen_exit_code) from None


def _tell(error: CallsheetError, *, verbose: bool) -> None:
    for line in lines_of(error):
        _say(line)
    for cause in _causes(error):
        _say(f"  because: {type(cause).__name__}: {cause}" if str(cause) else f"  because: {type(cause).__name__}")
    if verbose:
        traceback.print_exception(error)


def lines_of(error: CallsheetError) -> list[str]:
    """Return an error as lines: the sentence, then each problem with its path first."""
    if isinstance(error, ProblemList):
        return [error.message, *(f"  {problem!r}" for problem in error.problems)]
    if isinstance(error, CommandFailed):
        return [error.message, *(f"  {problem}" for problem in error.problems)]
    return [error.message]


def _causes(error: BaseException) -> Iterator[BaseException]:
    while (cause := error.__cause__) is not None:
        if str(cause) not in str(error):
            yield cause
        error = cause


def _tell_unforeseen(error: Exception, *, verbose: bool) -> None:
    from callsheet.domain.ids import new_id

    _say(f"This is a fault of Callsheet, not yours: {type(error).__name__}: {error}")
    _say(f"  Incident {new_id()}. Run the command again as `callsheet -v …` to see where, and please report it.")
    if verbose:
        traceback.print_exception(error)


def _say(line: str) -> None:
    from callsheet.logs import redact_secrets

    print(redact_secrets(line), file=sys.stderr)  # noqa: T201 - this is where errors are told
