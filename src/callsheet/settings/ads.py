"""The ads loop: the webhooks of HubSpot, attribution, and the sampler."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from callsheet.domain.durations import Duration


class AdsSettings(BaseModel):
    """Credit of deals to ads, and the sampler."""

    hubspot_client_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="Client secret of your HubSpot app. With it, `POST /api/webhooks/hubspot` needs HubSpot's "
        "signature (v3) instead of the API key; set `CALLSHEET_PUBLIC_URL` to the URL that HubSpot calls",
    )
    ads_lookback: Duration = Field(
        timedelta(days=90),
        gt=timedelta(0),
        description="Time before the newest change of a deal in which touches are credited",
    )
    ads_touch_half_life: Duration = Field(
        timedelta(days=7),
        gt=timedelta(0),
        description="Time in which the credit of a touch halves, in the attribution model `time-decay`",
    )
    ads_feedback_model: Literal["first", "last", "linear", "time-decay", "position"] = Field(
        "time-decay", description="Attribution model whose credit the sampler learns from"
    )
    ads_half_life: Duration = Field(
        timedelta(days=30),
        ge=timedelta(days=1),
        description="Time in which what the sampler has learned loses half of its weight",
    )
    ads_delay_half_life: Duration = Field(
        timedelta(days=3),
        ge=timedelta(hours=1),
        description="Time after which one half of the rewards of an impression have come",
    )
