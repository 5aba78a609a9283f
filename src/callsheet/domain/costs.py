"""Costs of jobs at providers."""

from typing import Literal

from pydantic import Field

from callsheet.domain.model import Model

Currency = Literal["USD"]
CostSource = Literal["provider", "price"]
"""`provider`: the provider reported it; `price`: computed by the price of the model."""


class CostEstimate(Model):
    """What a plan is expected to cost at providers, by the prices of its models."""

    amount: float = Field(description="Sum over the jobs whose price is known")
    currency: Currency = "USD"
    unpriced_jobs: list[str] = Field(
        default_factory=list, description="Jobs at providers whose cost is not known, by plan ids"
    )

    @property
    def is_paid(self) -> bool:
        """Whether a job costs something, or may."""
        return self.amount > 0 or bool(self.unpriced_jobs)


class CostSum(Model):
    """What submissions to providers cost together."""

    group: str | None = Field(
        description="The execution, key, model (`provider/model`) or day (UTC); null: without key"
    )
    name: str | None = Field(None, description="Name of the key")
    amount: float
    currency: Currency = "USD"
    submissions: int = Field(description="Submissions with a known cost")
    from_price: int = Field(description="Those whose cost was computed by a price")
