"""Simulated markets of ads, to compare ways to choose the next ad: `python -m callsheet.testing.ad_markets`.

In each round one ad is chosen and served to some people. Each conversion comes after a random delay, and pays a random
amount. The regret of a choice is what the best ad of that round would have returned on average, minus what the chosen
one returns on average.
"""

import heapq
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Protocol

from callsheet.ads.sampler import Arm, choose, posteriors

IMPRESSIONS = 1000
"""People to whom an ad is served in a round. Each costs 0.01."""
ROUNDS = 10_000
HALF_LIFE = 8_000.0
"""Rounds in which what the sampler has learned loses half of its weight."""


@dataclass(frozen=True, slots=True)
class Market:
    """Ads, and how they change."""

    name: str
    rates: tuple[float, ...]
    """Conversions per impression of each ad."""
    values: tuple[float, ...]
    """Mean revenue per conversion of each ad; the distribution is exponential."""
    delay_half_life: float
    """Rounds after which one half of the conversions have come; the distribution is exponential."""
    drift: float = 0.0
    """How far the rates swing: each by this part of itself, over all rounds, in its own phase."""

    def mean(self, ad: int, moment: float) -> float:
        """Return the mean revenue of one round of an ad. `moment` goes from 0 to 1 over all rounds."""
        return IMPRESSIONS * self.rate(ad, moment) * self.values[ad]

    def rate(self, ad: int, moment: float) -> float:
        """Return the rate of an ad at a moment."""
        phase = ad / len(self.rates)
        return self.rates[ad] * (1 + self.drift * math.sin(2 * math.pi * (moment + phase)))


MARKETS: tuple[Market, ...] = (
    Market("clear", (0.004, 0.006, 0.008, 0.010, 0.020), (30, 30, 30, 30, 30), 20),
    Market("many ads", tuple(0.002 + 0.0006 * ad for ad in range(20)), (40,) * 20, 20),
    Market("rare and valuable", (0.010, 0.012, 0.008, 0.004, 0.015), (20, 25, 30, 120, 15), 20),
    Market("long delays", (0.004, 0.006, 0.008, 0.010, 0.020), (30, 30, 30, 30, 30), 300),
    Market("drifting", (0.006, 0.007, 0.008, 0.012, 0.018), (30, 30, 30, 30, 30), 50, drift=0.3),
)
"""The markets of the documentation."""


class Policy(Protocol):
    """Chooses the ad of each round, from the rewards that have come so far."""

    def choose(self) -> int:
        """Return the place of the ad of this round."""

    def serve(self, ad: int) -> None:
        """Take note that the ad was served in this round; the next round begins."""

    def reward(self, ad: int, age: int, conversions: float, revenue: float) -> None:
        """Take note of rewards for a round that was `age` rounds ago."""


class Uniform:
    """Chooses each ad with the same probability."""

    def __init__(self, market: Market, random: Random) -> None:
        self._ads = len(market.rates)
        self._random = random

    def choose(self) -> int:
        """Return the place of the ad of this round."""
        return self._random.randrange(self._ads)

    def serve(self, ad: int) -> None:
        """Learn nothing."""

    def reward(self, ad: int, age: int, conversions: float, revenue: float) -> None:
        """Learn nothing."""


class EpsilonGreedy(Uniform):
    """Chooses the ad with the highest mean revenue so far; in one of ten rounds, any (Sutton, Barto: 0.1)."""

    def __init__(self, market: Market, random: Random) -> None:
        super().__init__(market, random)
        self._served = [0] * self._ads
        self._revenue = [0.0] * self._ads

    def choose(self) -> int:
        """Return the place of the ad of this round."""
        if 0 in self._served:
            return self._served.index(0)
        if self._random.random() < 0.1:
            return super().choose()
        means = [revenue / served for revenue, served in zip(self._revenue, self._served, strict=True)]
        return means.index(max(means))

    def serve(self, ad: int) -> None:
        """Count the round."""
        self._served[ad] += 1

    def reward(self, ad: int, age: int, conversions: float, revenue: float) -> None:  # noqa: ARG002 - as in `Policy`
        """Add the revenue."""
        self._revenue[ad] += revenue


class Sampler:
    """The sampler of Callsheet. A round is its unit of time."""

    def __init__(self, market: Market, random: Random) -> None:
        self._random = random
        self._delay_half_life = market.delay_half_life
        self._arms = [Arm() for _ in market.rates]

    def choose(self) -> int:
        """Return the place of the ad of this round."""
        return choose(posteriors(self._arms), self._random)

    def serve(self, ad: int) -> None:
        """Count the impressions, and let a round pass."""
        self._arms[ad] = self._arms[ad].served(IMPRESSIONS, IMPRESSIONS * 0.01)
        self._arms = [arm.aged(1, HALF_LIFE, self._delay_half_life) for arm in self._arms]

    def reward(self, ad: int, age: int, conversions: float, revenue: float) -> None:
        """Credit the round in which the ad was served."""
        self._arms[ad] = self._arms[ad].rewarded(conversions, revenue, age, HALF_LIFE)


POLICIES: Mapping[str, Callable[[Market, Random], Policy]] = {
    "sampler": Sampler,
    "epsilon-greedy": EpsilonGreedy,
    "uniform": Uniform,
}


def regret(market: Market, policy: str, *, rounds: int = ROUNDS, seed: int = 0) -> float:
    """Return the regret of a policy over all rounds, in units of revenue. The same seed gives the same figure."""
    chooser = POLICIES[policy](market, Random(f"{seed} {policy}"))  # noqa: S311 - a simulation
    random = Random(seed)  # noqa: S311 - a simulation
    ads = range(len(market.rates))
    coming: list[tuple[int, int, int, int, float]] = []
    numbers = count()
    total = 0.0
    for now in range(rounds):
        while coming and coming[0][0] <= now:
            _, _, ad, served_at, revenue = heapq.heappop(coming)
            chooser.reward(ad, now - served_at, 1, revenue)
        ad, moment = chooser.choose(), now / rounds
        for _ in range(_poisson(IMPRESSIONS * market.rate(ad, moment), random)):
            delay = random.expovariate(math.log(2) / market.delay_half_life)
            due = now + 1 + int(delay)
            heapq.heappush(coming, (due, next(numbers), ad, now, random.expovariate(1 / market.values[ad])))
        chooser.serve(ad)
        total += max(market.mean(each, moment) for each in ads) - market.mean(ad, moment)
    return total


def _poisson(mean: float, random: Random) -> int:
    """Return a random number by Knuth's method, which suits small means."""
    limit, number, product = math.exp(-mean), 0, random.random()
    while product > limit:
        number += 1
        product *= random.random()
    return number


def main(arguments: Sequence[str]) -> None:
    """Write a table of regrets: means over as many seeds as the first argument says; default: 5.

    `worst` is the highest regret of the sampler among the seeds.
    """
    seeds = range(int(arguments[0]) if arguments else 5)
    write = sys.stdout.write
    write("| Market | Uniform | Epsilon-greedy | Sampler | Worst | of epsilon-greedy | of uniform |\n")
    write("|---|---|---|---|---|---|---|\n")
    for market in MARKETS:
        found = {policy: [regret(market, policy, seed=seed) for seed in seeds] for policy in POLICIES}
        mean = {policy: sum(each) / len(seeds) for policy, each in found.items()}
        uniform, greedy, sampler = mean["uniform"], mean["epsilon-greedy"], mean["sampler"]
        write(
            f"| {market.name} | {uniform:,.0f} | {greedy:,.0f} | {sampler:,.0f} | {max(found['sampler']):,.0f} "
            f"| {sampler / greedy:.0%} | {sampler / uniform:.1%} |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
