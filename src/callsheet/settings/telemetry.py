"""Traces and error reports."""

from pydantic import BaseModel, Field, SecretStr


class TelemetrySettings(BaseModel):
    """Where traces and errors are sent."""

    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Base URL of a collector of OpenTelemetry, such as `http://localhost:4318`; it receives traces by "
        "OTLP over HTTP. Needs the extra `otel`",
    )
    otlp_headers: SecretStr | None = Field(
        None, description="Headers of requests to the collector: `name=value,name=value`"
    )
    otel_service_name: str = Field("callsheet", min_length=1, description="Name of this service in traces")
    trace_ratio: float = Field(
        1.0, ge=0, le=1, description="Part of the traces that begin here and are kept; requests with a trace keep it"
    )
    sentry_dsn: SecretStr | None = Field(
        None, description="DSN of Sentry, or of a compatible server, which receives errors. Needs the extra `sentry`"
    )
    sentry_environment: str | None = Field(None, description="Environment of these errors, such as `production`")
