"""Texts of exceptions for job errors and logs: without secrets, and of bounded length."""

import traceback
from types import TracebackType

from callsheet.logs import redact_secrets

_MAX_MESSAGE = 2_000
"""Characters."""
_MAX_TRACEBACK = 16_000
"""Characters."""
_OWN_MODULES = ("callsheet.engine.worker.executor", "callsheet.operation_api.run_in_thread")
_MAX_GROUPED = 5
"""Exceptions of a group that its message lists."""


def single_exception(error: BaseException) -> BaseException:
    """Return the only exception inside a group, such as that of a TaskGroup with one failed task; else the error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def chained_exception(error: BaseException) -> BaseException | None:
    """Return the exception that led to this one: `raise … from it`, or raised while it was handled."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def exception_message(error: BaseException) -> str:
    """Return `Type: message`. For a group, the exceptions that it contains follow."""
    return _shortened(redact_secrets(_message(error)), _MAX_MESSAGE)


def exception_traceback(error: BaseException) -> str:
    """Return the traceback, with the causes of the exception and the exceptions of a group.

    A text above 16,000 characters loses its middle: the first cause and the final exception stay.
    """
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None and _is_own(frames):
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    return _shortened(redact_secrets(text), _MAX_TRACEBACK)


def _is_own(frames: TracebackType) -> bool:
    """Return whether the first frame is one between the worker and the operation, which are always the same."""
    return frames.tb_frame.f_globals.get("__name__") in _OWN_MODULES


def _message(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if not isinstance(error, BaseExceptionGroup):
        return text
    listed = [_message(inner) for inner in error.exceptions[:_MAX_GROUPED]]
    if len(error.exceptions) > _MAX_GROUPED:
        listed.append("…")
    return f"{text}: {'; '.join(listed)}"


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters omitted …\n{text[-half:]}"
