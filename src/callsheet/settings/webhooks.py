"""Outgoing webhooks."""

from datetime import timedelta
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator

from callsheet.domain.durations import Duration


class WebhookSettings(BaseModel):
    """Delivery of webhooks to callback URLs and endpoints, and alerts."""

    webhook_timeout: Duration = Field(timedelta(seconds=15), description="Timeout of one delivery")
    webhook_attempts: int = Field(10, ge=1, description="Number of failed deliveries after which a webhook is given up")
    webhook_disable_after: Duration = Field(
        timedelta(days=3),
        description="Time after which an endpoint is disabled if no delivery to it succeeds; 0: never",
    )
    webhook_history: Duration = Field(
        timedelta(days=30), description="Time that sent webhooks and their attempts are kept", gt=timedelta(0)
    )
    alert_webhook_url: SecretStr | None = Field(
        None,
        description="URL that receives alerts, such as an incoming webhook of Slack or n8n. It may be on a private "
        "network and may start with `http://`. Unset: only endpoints receive alerts",
    )
    alert_failure_threshold: int = Field(
        3, ge=1, description="Number of jobs that fail in a row on a queue before an alert is sent"
    )

    @field_validator("alert_webhook_url")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be a URL that starts with https:// or http://")
        return value
