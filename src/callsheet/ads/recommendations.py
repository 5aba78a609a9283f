"""Recommendations: shares of a budget for the ads of a tenant."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from random import Random, SystemRandom
from typing import Any

from pydantic import Field, model_validator

from callsheet.ads.arms import MAX_ARMS, RewardSource, arm_of, tenant_lock
from callsheet.ads.budget import bounded_shares, smoothed_shares
from callsheet.ads.cents import Amount, split
from callsheet.ads.identifiers import DEFAULT_TENANT, Identifier
from callsheet.ads.sampler import Arm, Posterior, best_probabilities, posteriors
from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import BadInput, NotFound
from callsheet.domain.model import Model
from callsheet.settings.ads import AdsSettings

_MAX_DRAWS_OF_ALL = 1_000_000
"""Draws of all ads together; about two seconds."""
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ads")
"""One at a time: several threads would not be faster, and would delay the event loop."""


class RecommendationRequest(Model):
    """How a budget is to be shared."""

    tenant_id: Identifier = DEFAULT_TENANT
    budget: Amount | None = Field(
        None, description="Budget to split, in the currency of the tenant; unset: shares only"
    )
    reward: RewardSource = Field(
        "deals", description="What counts as a return: `deals` (their credit), or `reported` (by the platforms)"
    )
    min_share: float = Field(0, ge=0, le=1, description="Lowest share of an ad, so that it goes on being tried")
    max_share: float = Field(1, gt=0, le=1, description="Highest share of an ad")
    step: float = Field(
        1, gt=0, le=1, description="How far the shares move from those adopted last to the new ones; 1: all the way"
    )
    draws: int = Field(1000, ge=100, le=20_000, description="Random draws; more make the shares more exact")
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="The same seed and data give the same shares")

    @model_validator(mode="after")
    def _check_bounds(self) -> "RecommendationRequest":
        if self.min_share > self.max_share:
            raise ValueError(f"minShare {self.min_share:g} is higher than maxShare {self.max_share:g}")
        return self


class AdShare(Model):
    """What is recommended for one ad."""

    ad_id: str
    share: float = Field(description="Part of the budget, from 0 to 1")
    budget: Decimal | None = Field(description="Part of the budget, to the cent; null without a budget")
    best_probability: float = Field(description="Probability that no other ad returns more")
    expected_return: float = Field(description="Expected revenue per unit of spend, as of now")
    impressions: float = Field(description="Discounted impressions that this is learned from")
    conversions: float = Field(description="Discounted conversions that this is learned from")
    adopted_share: float | None = Field(description="The share that was adopted last; null: none")


class Recommendation(Model):
    """Shares of the ads of a tenant; they add up to 1, and their budgets to the budget."""

    tenant_id: str
    reward: RewardSource
    ads: list[AdShare] = Field(description="Highest share first")


async def recommend(database: Database, request: RecommendationRequest, settings: AdsSettings) -> Recommendation:
    """Return shares by the probability of each ad to be the best. Nothing is stored.

    Raises NotFound for a tenant without ads, and BadInput for bounds that its ads cannot meet.
    """
    rows = await database.retry(lambda c: sql.get_arms(c, tenant=request.tenant_id, max_rows=MAX_ARMS + 1), timeout=10)
    if not rows:
        raise NotFound(f"The tenant '{request.tenant_id}' has no metrics and no credited deals of ads.")
    _check_size(len(rows), request)
    arms = [arm_of(row, request.reward, settings) for row in rows]
    before = [row["share"] for row in rows]
    shares = await asyncio.get_running_loop().run_in_executor(_thread, _shares, arms, before, request)
    return _recommendation(request, rows, arms, *shares)


async def adopt(database: Database, recommendation: Recommendation) -> None:
    """Store the shares as those that were adopted last."""

    async def store(connection: Connection) -> None:
        await sql.lock_state(connection, keys=[tenant_lock(recommendation.tenant_id)])
        await sql.store_shares(
            connection,
            tenant=recommendation.tenant_id,
            ads=[each.ad_id for each in recommendation.ads],
            shares=[each.share for each in recommendation.ads],
        )

    await database.retry(store, timeout=10, transaction=True)


def _check_size(count: int, request: RecommendationRequest) -> None:
    if count > MAX_ARMS:
        raise BadInput(f"The tenant '{request.tenant_id}' has more than {MAX_ARMS:,} ads; split it into several.")
    if count * request.draws > _MAX_DRAWS_OF_ALL:
        most = _MAX_DRAWS_OF_ALL // count
        raise BadInput(f"draws {request.draws:,} is too high for {count:,} ads; at most {most:,} are allowed.")
    if request.min_share * count > 1 + 1e-9:
        raise BadInput(
            f"minShare {request.min_share:g} is too high for {count:,} ads; at most {1 / count:g} is allowed."
        )
    if request.max_share * count < 1 - 1e-9:
        raise BadInput(
            f"maxShare {request.max_share:g} is too low for {count:,} ads; at least {1 / count:g} is needed."
        )


def _shares(
    arms: Sequence[Arm], before: Sequence[float | None], request: RecommendationRequest
) -> tuple[list[Posterior], list[float], list[float]]:
    known = posteriors(arms)
    random = SystemRandom() if request.seed is None else Random(request.seed)  # noqa: S311 - a simulation
    best = best_probabilities(known, random, request.draws)
    moved = smoothed_shares(best, before, request.step)
    return known, best, bounded_shares(moved, lowest=request.min_share, highest=request.max_share)


def _recommendation(
    request: RecommendationRequest,
    rows: Sequence[Any],
    arms: Sequence[Arm],
    known: Sequence[Posterior],
    best: Sequence[float],
    shares: Sequence[float],
) -> Recommendation:
    budgets: Sequence[Decimal | None] = [None] * len(rows)
    if request.budget is not None:
        budgets = split(request.budget, shares)
    ads = [
        AdShare(
            ad_id=row["ad"],
            share=share,
            budget=budget,
            best_probability=probability,
            expected_return=posterior.mean,
            impressions=arm.trials,
            conversions=arm.conversions,
            adopted_share=row["share"],
        )
        for row, arm, posterior, probability, share, budget in zip(
            rows, arms, known, best, shares, budgets, strict=True
        )
    ]
    ads.sort(key=lambda each: (-each.share, each.ad_id))
    return Recommendation(tenant_id=request.tenant_id, reward=request.reward, ads=ads)
