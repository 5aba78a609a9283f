"""Simulated ads, healthy and tired: `python -m callsheet.testing.fatigue_series` measures how early fatigue is flagged.

A tired ad is healthy at first. Then its audience is used up: the frequency and the cost per thousand impressions rise,
and engagement falls. Some days later the click-through rate begins to fall, too. An ad is flagged on the first day with
the severity `warning` or `critical`.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from statistics import median

from callsheet.ads.fatigue import AdDay, assess

DAYS = 60
"""Days of a series."""
TUNING_SEEDS = range(500)
"""Seeds by which the thresholds were chosen."""
REPORTED_SEEDS = range(90_000, 90_500)
"""Seeds of the documentation. No threshold was chosen by them."""
_START = date(2026, 1, 1)
_PERSISTENCE = 0.4
"""How much of a deviation of the market is left on the next day."""


@dataclass(frozen=True, slots=True)
class Series:
    """The days of one simulated ad."""

    days: tuple[AdDay, ...]
    falls_on: date | None
    """The first day on which the expected click-through rate is lower than before; None: a healthy ad."""


def series(seed: int, *, tired: bool) -> Series:
    """Return a simulated ad. The same seed gives the same one.

    The level of each figure, its noise, the weekend effect, the speed of the fatigue, and its lead of 5 to 12 days over
    the click-through rate are random. Both kinds of ads have missing days, a jump of the budget that also raises the
    frequency, single expensive days, and a market whose prices wander.
    """
    random = Random(f"{seed} {tired}")  # noqa: S311 - a simulation
    begins = random.randint(14, 38) if tired else DAYS
    falls = begins + random.randint(5, 12)
    impressions, frequency, cpm = random.uniform(3_000, 60_000), random.uniform(1.2, 2.0), random.uniform(4, 18)
    engagement, click_through = random.uniform(0.01, 0.05), random.uniform(0.006, 0.025)
    noise, weekend = random.uniform(0.03, 0.08), random.uniform(-0.2, 0.2)
    faster, dearer = random.uniform(0.02, 0.05), random.uniform(0.01, 0.03)
    duller, lower = random.uniform(0.02, 0.05), random.uniform(0.03, 0.07)
    jump, grows = random.randint(10, DAYS), random.uniform(0, 0.002)
    market, days = 0.0, []
    for number in range(DAYS):
        day = _START + timedelta(days=seed % 7 + number)
        market = _PERSISTENCE * market + random.gauss(0, noise)
        tiredness = min(max(0, number - begins), 25)
        raised = 1 if number >= jump else 0
        at_weekend = weekend if day.weekday() >= 5 else 0.0
        shown = int(impressions * math.exp(0.4 * raised + at_weekend + random.gauss(0, 0.15)))
        often = frequency * math.exp(faster * tiredness + grows * number + 0.05 * raised + random.gauss(0, noise / 2))
        often *= math.exp(at_weekend / 4)
        price = cpm * math.exp(dearer * tiredness + market + at_weekend / 2)
        price *= random.uniform(1.3, 2.0) if random.random() < 0.02 else 1
        liked = engagement * math.exp(-duller * tiredness + at_weekend / 2 + random.gauss(0, noise))
        clicked = click_through * math.exp(-lower * min(max(0, number - falls), 25) + random.gauss(0, noise / 2))
        if random.random() < 0.05:
            continue
        days.append(
            AdDay(
                day,
                shown,
                clicks=min(_poisson(shown * clicked, random), shown),
                spend=round(shown * price / 1000, 2),
                reach=max(1, int(shown / max(often, 1))),
                engagements=_poisson(shown * liked, random),
            )
        )
    # On the day `falls` the loss is still 0.
    return Series(tuple(days), _START + timedelta(days=seed % 7 + falls + 1) if tired else None)


def _poisson(mean: float, random: Random) -> int:
    """Return a random count: by Knuth's method, or by the normal approximation for a mean above 30."""
    if mean > 30:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    limit, number, product = math.exp(-mean), 0, random.random()
    while product > limit:
        number += 1
        product *= random.random()
    return number


def flagged_on(days: Sequence[AdDay]) -> date | None:
    """Return the first day on which an ad is flagged, when each day is assessed with what is known by then."""
    for number, each in enumerate(days):
        if assess(days[: number + 1], each.day).severity in {"warning", "critical"}:
            return each.day
    return None


@dataclass(frozen=True, slots=True)
class Figures:
    """How well ads are flagged."""

    leads: tuple[float, ...]
    """Days from the flag to the fall of each tired ad, lowest first; minus infinity: never flagged."""
    false_alarms: float
    """Part of the healthy ads that are flagged at any time in 60 days."""

    @property
    def median_lead(self) -> float:
        """The median of the leads, in days."""
        return median(self.leads)

    @property
    def before_the_fall(self) -> float:
        """Part of the tired ads that are flagged before the click-through rate falls."""
        return sum(lead > 0 for lead in self.leads) / len(self.leads)


def measure(seeds: Sequence[int]) -> Figures:
    """Return the figures of one tired and one healthy ad for each seed."""
    leads = []
    for seed in seeds:
        ad = series(seed, tired=True)
        flagged = flagged_on(ad.days)
        leads.append(-math.inf if flagged is None or ad.falls_on is None else float((ad.falls_on - flagged).days))
    false = sum(flagged_on(series(seed, tired=False).days) is not None for seed in seeds)
    return Figures(tuple(sorted(leads)), false / len(seeds))


def main(arguments: Sequence[str]) -> None:
    """Write the figures of the tuning seeds and of the reported ones; the argument is their number, default: all."""
    count = int(arguments[0]) if arguments else len(REPORTED_SEEDS)
    write = sys.stdout.write
    write("| Seeds | Ads | Median lead | Nine of ten lead by | Flagged before the fall | False alarms |\n")
    write("|---|---|---|---|---|---|\n")
    for name, seeds in (("tuning", TUNING_SEEDS[:count]), ("reported", REPORTED_SEEDS[:count])):
        found = measure(seeds)
        write(
            f"| {name} | {2 * len(seeds):,} | {found.median_lead:g} days | {found.leads[len(seeds) // 10]:g} days "
            f"| {found.before_the_fall:.1%} | {found.false_alarms:.1%} |\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
