"""Outgoing webhooks."""

from datetime import timedelta

from pydantic import BaseModel, Field

from callsheet.domain.durations import Duration


class WebhookSettings(BaseModel):
    """Delivery of webhooks to the callback URLs of executions."""

    webhook_timeout: Duration = Field(timedelta(seconds=15), description="Timeout of one delivery")
    webhook_attempts: int = Field(10, ge=1, description="Number of failed deliveries after which a webhook is given up")
