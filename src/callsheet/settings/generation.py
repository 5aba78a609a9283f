"""Generation: models, polling of providers, and the webhooks that providers send."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, Field

from callsheet.domain.durations import Duration


class GenerationSettings(BaseModel):
    """Generation by providers."""

    models_file: Path | None = Field(
        None, description="YAML file with additional models; they take precedence over the built-in models"
    )
    prices_file: Path | None = Field(
        None,
        description="YAML file with prices of models, by provider and the provider's name of the model; they take "
        "precedence over the built-in ones",
    )
    monthly_budget: Decimal | None = Field(
        None,
        ge=0,
        description="US dollars that executions may cost at providers in a calendar month (UTC); a plan that would "
        "exceed it is refused. Unset: no limit",
    )
    local_queue_limit: int = Field(
        4,
        ge=0,
        description="Number of queued ComfyUI jobs from which a model that another provider also offers is submitted "
        "to that provider",
    )
    provider_concurrency: int = Field(8, ge=1, description="Maximum number of concurrent requests to one provider")
    provider_poll_initial: Duration = Field(
        timedelta(seconds=5),
        description="Time between a submission and its first poll",
    )
    provider_poll_backoff_multiplier: float = Field(
        1.5, ge=1, le=10, description="Factor by which each pause between two polls is longer than the one before"
    )
    provider_poll_max: Duration = Field(timedelta(minutes=1), description="Maximum time between two polls of a task")
    provider_poll_max_attempts: int = Field(
        100,
        ge=1,
        description="Maximum number of polls of a task; after it, the task is cancelled and the job fails. A task "
        "whose end a webhook reports is not limited",
    )
    provider_deadline: Duration = Field(
        timedelta(hours=24),
        description="Maximum duration of a task at a provider; after it, the task is cancelled and the job fails",
    )
    provider_poll_interval: Duration = Field(
        timedelta(seconds=1), description="Time between two searches for waiting jobs that are due for a poll"
    )
    output_patience: Duration = Field(
        timedelta(seconds=10),
        description="Time for which a run fetches an output again that arrived damaged, or as an error page; after it, "
        "the run fails as `bad_output`, and the job is retried as after other temporary failures",
    )
    hold_submissions: bool = Field(
        False,
        description="Hold every submission to a provider until a person releases it with "
        "`callsheet providers release`; for the first start after a [restore](going-to-production.md#after-a-restore)",
    )
    submission_recovery_timeout: Duration = Field(
        timedelta(minutes=10),
        description="Time to find the task of a submission whose response was lost; after it, the job fails as "
        "`submission_unknown`",
    )
    webhook_max_bytes: int = Field(2**20, ge=1024, description="Maximum size of a webhook from a provider, in bytes")
