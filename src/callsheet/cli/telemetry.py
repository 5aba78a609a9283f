"""Traces and error reports of a process, if the settings ask for them."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pydantic import BaseModel, SecretStr

from callsheet.domain.errors import ConfigurationError
from callsheet.settings import Settings
from callsheet.tracing import use_tracer


@contextmanager
def telemetry(settings: Settings) -> Iterator[None]:
    """Send traces and errors during the block. Raises ConfigurationError without the extra that this needs."""
    with ExitStack() as stack:
        if settings.otlp_endpoint is not None:
            stack.enter_context(_tracing(settings, settings.otlp_endpoint))
        if settings.sentry_dsn is not None:
            stack.enter_context(_error_reports(settings, settings.sentry_dsn.get_secret_value()))
        yield


@contextmanager
def _tracing(settings: Settings, endpoint: str) -> Iterator[None]:
    try:
        from callsheet.tracing.otel import open_tracer
    except ImportError as error:
        raise _missing("CALLSHEET_OTLP_ENDPOINT", "otel", error) from None
    headers = settings.otlp_headers.get_secret_value() if settings.otlp_headers else None
    tracer = open_tracer(endpoint, headers, service=settings.otel_service_name, ratio=settings.trace_ratio)
    use_tracer(tracer)
    try:
        yield
    finally:
        use_tracer(None)
        tracer.close()


@contextmanager
def _error_reports(settings: Settings, dsn: str) -> Iterator[None]:
    try:
        from callsheet.tracing.errors import ErrorReporter
    except ImportError as error:
        raise _missing("CALLSHEET_SENTRY_DSN", "sentry", error) from None
    try:
        reporter = ErrorReporter(dsn, environment=settings.sentry_environment, secrets=secrets_of(settings))
    except ValueError as error:
        raise ConfigurationError(f"CALLSHEET_SENTRY_DSN is not a DSN: {type(error).__name__}") from None
    root = logging.getLogger()
    root.addHandler(reporter)
    try:
        yield
    finally:
        root.removeHandler(reporter)
        reporter.close()


def secrets_of(settings: BaseModel) -> list[str]:
    """Return the values of all secret settings."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]


def _missing(setting: str, extra: str, error: ImportError) -> ConfigurationError:
    return ConfigurationError(f"{setting} needs the extra '{extra}': pip install 'callsheet[{extra}]' ({error})")
