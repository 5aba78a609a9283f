"""Thompson sampling over ads: what is known of each ad, and random draws of what it returns.

The return of an ad is its revenue per unit of spend. It is the product of three things that are learned apart:
conversions per impression (Beta), revenue per conversion (inverse gamma), and impressions per unit of spend (measured).
Rewards are discounted, because ads change, and delayed, because a conversion comes after its impression.

Sources: W. R. Thompson, "On the likelihood that one unknown probability exceeds another in view of the evidence of two
samples" (1933); O. Chapelle, L. Li, "An Empirical Evaluation of Thompson Sampling" (2011); V. Raj, S. Kalyani, "Taming
Non-stationary Bandits: A Bayesian Approach" (2017) for the discount; C. Vernade, O. Cappé, V. Perchet, "Stochastic
Bandit Models for Delayed Conversions" (2017) for counting an impression by the part of its rewards that has come.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

_MIN_RATE = 1e-9


@dataclass(frozen=True, slots=True)
class Arm:
    """Discounted sums of what is known of an ad."""

    trials: float = 0.0
    """Impressions."""
    immature: float = 0.0
    """The part of the trials whose rewards are still to come."""
    conversions: float = 0.0
    revenue: float = 0.0
    spend: float = 0.0

    @property
    def matured(self) -> float:
        """The trials, each counted by the part of its rewards that has come."""
        return max(self.trials - self.immature, self.conversions)

    def aged(self, age: float, half_life: float, delay_half_life: float) -> "Arm":
        """Return the sums after some time, in the unit of the half-lives: discounted, and with matured trials."""
        keep = 0.5 ** (age / half_life)
        return Arm(
            self.trials * keep,
            self.immature * keep * 0.5 ** (age / delay_half_life),
            self.conversions * keep,
            self.revenue * keep,
            self.spend * keep,
        )

    def served(self, trials: float, spend: float) -> "Arm":
        """Return the sums after impressions were served now. All of their rewards are still to come."""
        return replace(self, trials=self.trials + trials, immature=self.immature + trials, spend=self.spend + spend)

    def rewarded(self, conversions: float, revenue: float, age: float, half_life: float) -> "Arm":
        """Return the sums after rewards of impressions that were served `age` ago: they count as of that time."""
        weight = 0.5 ** (age / half_life)
        return replace(
            self, conversions=self.conversions + conversions * weight, revenue=self.revenue + revenue * weight
        )


@dataclass(frozen=True, slots=True)
class Prior:
    """What is assumed of an ad before it is known: the average of the ads of its tenant, with little weight."""

    rate: float = 0.5
    """Conversions per impression. The weight of the assumption is that of one conversion."""
    value: float = 1.0
    """Revenue per conversion. The weight is that of one conversion."""
    cost: float = 1.0
    """Spend per impression."""

    @classmethod
    def of(cls, arms: Iterable[Arm]) -> "Prior":
        """Return the average of arms. What is not known of any of them has its default."""
        known = list(arms)
        trials, conversions = sum(arm.matured for arm in known), sum(arm.conversions for arm in known)
        revenue, spend = sum(arm.revenue for arm in known), sum(arm.spend for arm in known)
        served = sum(arm.trials for arm in known)
        return cls(
            min(max((conversions + 1) / (trials + 2), _MIN_RATE), 1 - _MIN_RATE),
            revenue / conversions if conversions > 0 and revenue > 0 else 1.0,
            spend / served if served > 0 and spend > 0 else 1.0,
        )


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of an ad: the distributions that its return is drawn from."""

    alpha: float
    """Of the Beta distribution of the conversions per impression."""
    beta: float
    value_shape: float
    """Of the inverse gamma distribution of the revenue per conversion."""
    value_scale: float
    cost: float
    """Spend per impression."""

    @classmethod
    def of(cls, arm: Arm, prior: Prior) -> "Posterior":
        """Return what is known of an arm."""
        return cls(
            alpha=1 + arm.conversions,
            beta=(1 - prior.rate) / prior.rate + max(arm.matured - arm.conversions, 0),
            value_shape=2 + arm.conversions,
            value_scale=prior.value + arm.revenue,
            cost=arm.spend / arm.trials if arm.trials > 0 and arm.spend > 0 else prior.cost,
        )

    @property
    def mean(self) -> float:
        """The expected return: revenue per unit of spend."""
        rate = self.alpha / (self.alpha + self.beta)
        return rate * self.value_scale / (self.value_shape - 1) / self.cost

    def draw(self, random: Random) -> float:
        """Return a random return, by what is known."""
        rate = random.betavariate(self.alpha, self.beta)
        return rate * self.value_scale / random.gammavariate(self.value_shape, 1) / self.cost


def posteriors(arms: Sequence[Arm]) -> list[Posterior]:
    """Return what is known of each arm. The arms of a tenant share a prior."""
    prior = Prior.of(arms)
    return [Posterior.of(arm, prior) for arm in arms]


def choose(known: Sequence[Posterior], random: Random) -> int:
    """Return the place of the arm to serve: the one with the highest random return (Thompson sampling)."""
    draws = [posterior.draw(random) for posterior in known]
    return draws.index(max(draws))


def best_probabilities(known: Sequence[Posterior], random: Random, draws: int) -> list[float]:
    """Return for each arm the part of the draws in which it is the best. They add up to 1."""
    wins = [0] * len(known)
    for _ in range(draws):
        wins[choose(known, random)] += 1
    return [won / draws for won in wins]
