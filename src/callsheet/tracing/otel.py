"""The tracer of OpenTelemetry: needs the extra `otel`."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from callsheet.logs import redact_secrets
from callsheet.tracing import Attributes, Kind, Span

_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}
_PROPAGATOR = TraceContextTextMapPropagator()
_SECOND = 1_000_000_000
_TIMEOUT = 5.0
"""Seconds in which the collector must respond."""


class OtelTracer:
    """Makes spans with a provider of OpenTelemetry."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("callsheet", version("callsheet"))

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
        context = None if parent is None else _PROPAGATOR.extract({"traceparent": parent}, Context())
        start = None if started is None else int(started.timestamp() * _SECOND)
        return _block(self._tracer, name, kind, context, attributes, start, marks_errors)

    def current(self) -> str | None:
        """Return the `traceparent` of the current span, if there is one."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get("traceparent")

    def close(self) -> None:
        """Send what is left, and stop."""
        self._provider.shutdown()


def open_tracer(endpoint: str, headers: str | None, *, service: str, ratio: float) -> OtelTracer:
    """Return a tracer that sends spans to a collector by OTLP over HTTP.

    `endpoint` is its base URL. `headers` have the form `name=value,name=value`. `ratio` is the part of the traces that
    begin here that is kept.
    """
    resource = Resource.create({"service.name": service, "service.version": version("callsheet")})
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(ratio)), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", headers=_pairs(headers), timeout=_TIMEOUT)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OtelTracer(provider)


def _pairs(headers: str | None) -> dict[str, str]:
    pairs = (each.partition("=") for each in (headers or "").split(",") if each.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def add(self, attributes: Attributes) -> None:
        self._span.set_attributes(dict(attributes))

    def fail(self, reason: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, redact_secrets(reason)[:500]))


@contextmanager
def _block(
    tracer: trace.Tracer,
    name: str,
    kind: Kind,
    context: Context | None,
    attributes: Attributes,
    start: int | None,
    marks_errors: bool,
) -> Iterator[Span]:
    with tracer.start_as_current_span(
        name,
        context=context,
        kind=_KINDS[kind],
        attributes=dict(attributes),
        start_time=start,
        # Messages of exceptions may contain what a client sent.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        found = _Span(span)
        try:
            yield found
        except Exception as error:
            if marks_errors:
                found.fail(type(error).__name__)
            raise
