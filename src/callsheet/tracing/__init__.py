"""Spans of OpenTelemetry, which cost nothing while tracing is off.

A trace covers an execution from the request that submits it to the webhook that reports its end, in all processes. The
context of the request is stored with the execution, in the form of the W3C header `traceparent`.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

Kind: TypeAlias = Literal["internal", "server", "client", "consumer"]
Attributes: TypeAlias = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """An open span."""

    def rename(self, name: str) -> None:
        """Change its name."""

    def add(self, attributes: Attributes) -> None:
        """Add attributes."""

    def fail(self, reason: str) -> None:
        """Mark it as failed. Secrets in the reason are redacted."""


class Tracer(Protocol):
    """Makes spans."""

    def span(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        attributes: Attributes,
        started: datetime | None,
        marks_errors: bool,
    ) -> AbstractContextManager[Span]:
        """Return a block with a span."""

    def current(self) -> str | None:
        """Return the `traceparent` of the current span, if there is one."""


class _NoSpan(AbstractContextManager["_NoSpan"]):
    def __enter__(self) -> "_NoSpan":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End nothing."""

    def rename(self, name: str) -> None:
        """Change nothing."""

    def add(self, attributes: Attributes) -> None:
        """Add nothing."""

    def fail(self, reason: str) -> None:
        """Mark nothing."""


_NO_SPAN = _NoSpan()
_NO_ATTRIBUTES: Attributes = {}
_tracer: Tracer | None = None


def use_tracer(tracer: Tracer | None) -> None:
    """Make the spans of this process with a tracer; None turns tracing off."""
    global _tracer
    _tracer = tracer


def is_tracing() -> bool:
    """Return whether this process makes spans."""
    return _tracer is not None


def span(
    name: str,
    *,
    kind: Kind = "internal",
    parent: str | None = None,
    attributes: Attributes = _NO_ATTRIBUTES,
    started: datetime | None = None,
    marks_errors: bool = True,
) -> AbstractContextManager[Span]:
    """Return a block with a span: `with span("operation render") as current: …`.

    `parent` is a `traceparent`; None: the current span. `started` is an earlier start. An exception of the block marks
    the span as failed, unless `marks_errors` is false.
    """
    if _tracer is None:
        return _NO_SPAN
    return _tracer.span(name, kind, parent, attributes, started, marks_errors)


def current_traceparent() -> str | None:
    """Return the `traceparent` of the current span; None without one, and while tracing is off."""
    return None if _tracer is None else _tracer.current()


def current_trace_id() -> str | None:
    """Return the id of the current trace, 32 hexadecimal digits."""
    found = current_traceparent()
    return None if found is None else found.split("-")[1]


def traceparent_of(stored: str | None, execution_id: UUID) -> str:
    """Return the stored `traceparent` of an execution. Without one, its own id is that of its trace."""
    return stored or f"00-{execution_id.hex}-{execution_id.hex[16:]}-01"
