"""No-op jobs per second, from the start of the first submission to the last recorded completion."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.machine import busy_share
from bench.media.turns import measured
from bench.report import Finding, Row, Verdict, milliseconds, skipped
from bench.sizes import Sizes
from bench.stores import Stores
from bench.systems import (
    BULLMQ_ALWAYS,
    BULLMQ_EVERYSEC,
    BULLMQ_MEMORY,
    CALLSHEET,
    CALLSHEET_LANE_100,
    CALLSHEET_TWO,
    CELERY_PREFORK,
    CELERY_THREADS,
    PGQUEUER,
    PGQUEUER_DEFAULT,
    PGQUEUER_ROWS,
    PROCRASTINATE,
    System,
    session,
)

SUBMITTERS = 32


@dataclass
class Contender:
    """A system and the way jobs are given to it, with the rates of each round."""

    label: str
    system: System
    request: dict[str, Any]
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """CPU seconds per job, of all processes: submitter, workers and the database."""

    @property
    def rate(self) -> float:
        """Jobs a second, the median of the rounds."""
        return median(self.rates)


def _many(label: str, system: System, per_plan: int = 1) -> Contender:
    return Contender(label, system, {"do": "bulk", "per_plan": per_plan})


def _one_by_one(label: str, system: System) -> Contender:
    return Contender(label, system, {"do": "singly", "submitters": SUBMITTERS})


def contenders() -> list[Contender]:
    """Return all, in the order of the table; the first is the measure of the others."""
    return [
        _many("Callsheet", CALLSHEET),
        _many("Callsheet, plans of 100 jobs", CALLSHEET, per_plan=100),
        _many("Callsheet, lane of 100", CALLSHEET_LANE_100),
        _many("Callsheet, 2 workers, lanes of 100", CALLSHEET_TWO),
        _many("BullMQ, addBulk, no disk", BULLMQ_MEMORY),
        _many("BullMQ, addBulk, fsync each second", BULLMQ_EVERYSEC),
        _many("BullMQ, addBulk, fsync always", BULLMQ_ALWAYS),
        _many("PgQueuer, tickets alone", PGQUEUER),
        _many("PgQueuer, tickets alone, default batch of 10", PGQUEUER_DEFAULT),
        _many("PgQueuer, tickets beside job rows", PGQUEUER_ROWS),
        _many("Procrastinate", PROCRASTINATE),
        _many("Celery, threads, results kept", CELERY_THREADS),
        _many("Celery, prefork, results kept", CELERY_PREFORK),
        _one_by_one(f"Callsheet, one a call by {SUBMITTERS}", CALLSHEET),
        _one_by_one(f"BullMQ, one a call by {SUBMITTERS}, no disk", BULLMQ_MEMORY),
        _one_by_one(f"BullMQ, one a call by {SUBMITTERS}, fsync always", BULLMQ_ALWAYS),
    ]


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Measure all contenders, one after the other in every round."""
    finding = Finding(
        "engine",
        f"No-op jobs a second, submission to recorded end; {sizes.jobs:,} jobs, median of {sizes.rounds}",
        ["jobs/s", "least to most", "of Callsheet", "CPU, ms each", "on disk"],
    )
    field_ = [contender for contender in contenders() if sizes.only in contender.label]
    if not field_:
        raise RuntimeError(f"no system has '{sizes.only}' in its name")
    present = [contender for contender in field_ if contender.system.missing() is None]
    for number in range(sizes.rounds):
        for contender in present:
            progress(f"round {number + 1}/{sizes.rounds}: {contender.label}")
            _measure(contender, stores, sizes, finding)
    if not field_[0].rates:
        raise RuntimeError(f"{field_[0].label} was not measured: {finding.errors}")
    measure = field_[0].rate
    finding.rows = [_row(contender, measure) for contender in field_]
    finding.verdicts = _verdicts(field_)
    finding.notes = [
        "One worker process by default; another process submits at the same time, many jobs a call "
        "(500 to 1,000), or one.",
    ]
    return finding


def _measure(contender: Contender, stores: Stores, sizes: Sizes, finding: Finding) -> None:
    with finding.errors_of(contender.label), session(contender.system, stores, warm_up=sizes.warm_up) as running:
        finding.noise.append(busy_share())
        moments, cost = measured(lambda: running.client.ask(**contender.request, jobs=sizes.jobs), stores)
        contender.cpu.append(cost.cpu / sizes.jobs)
        contender.rates.append(sizes.jobs / (moments["ended"] - moments["began"]))


def _row(contender: Contender, measure: float) -> Row:
    if not contender.rates:
        return skipped(contender.label, contender.system.missing() or "it failed")
    return Row(
        contender.label,
        [
            f"{contender.rate:,.0f}",
            f"{min(contender.rates):,.0f} to {max(contender.rates):,.0f}",
            f"{contender.rate / measure:.2f}×",
            milliseconds(median(contender.cpu)),
            contender.system.durable,
        ],
        {"rates": contender.rates, "cpu": contender.cpu, "leftAfterwards": contender.system.history},
    )


def _verdicts(field_: list[Contender]) -> list[Verdict]:
    by = {contender.label: contender for contender in field_ if contender.rates}
    ours = field_[0].rate
    verdicts = []
    if "Callsheet" in by:
        verdicts.append(Verdict("at least 5,000 jobs/s from one worker", f"{ours:,.0f}", ours >= 5000))
    verdicts += _verdicts_on_peers(by, ours) + _verdict_on_two_workers(by)
    return verdicts


def _verdicts_on_peers(by: dict[str, Contender], ours: float) -> list[Verdict]:
    one_a_call = f"Callsheet, one a call by {SUBMITTERS}", f"BullMQ, one a call by {SUBMITTERS}, fsync always"
    ratios = [
        ("ahead of BullMQ in memory", "Callsheet", "BullMQ, addBulk, no disk", 1.0),
        ("ahead of BullMQ as durable", "Callsheet", "BullMQ, addBulk, fsync always", 1.0),
        ("one plan a call: at least 0.9 of BullMQ as durable", *one_a_call, 0.9),
    ]
    verdicts = []
    for promise, us, them, least in ratios:
        if us in by and them in by:
            ratio = by[us].rate / by[them].rate
            verdicts.append(Verdict(promise, f"{ratio:.2f}×", ratio >= least))
    celery = [contender.rate for label, contender in by.items() if label.startswith("Celery")]
    if celery and "Callsheet" in by:
        verdicts.append(Verdict("at least 10 times Celery", f"{ours / max(celery):.1f}×", ours >= 10 * max(celery)))
    return verdicts


def _verdict_on_two_workers(by: dict[str, Contender]) -> list[Verdict]:
    one, two = by.get("Callsheet, lane of 100"), by.get("Callsheet, 2 workers, lanes of 100")
    if not (one and two):
        return []
    gain = two.rate / one.rate
    return [Verdict("two workers give more than one", f"{gain:.2f}×", gain > 1)]
