"""Pick-up time of an idle worker: from the start of the submit call to the first line of the handler."""

from collections.abc import Callable
from statistics import median

from bench.machine import busy_share
from bench.report import Finding, Row, Verdict, milliseconds, percentile, skipped
from bench.sizes import Sizes
from bench.stores import Stores
from bench.systems import (
    BULLMQ_ALWAYS,
    BULLMQ_MEMORY,
    CALLSHEET,
    CELERY_PREFORK,
    CELERY_THREADS,
    PGQUEUER,
    PROCRASTINATE,
    Session,
    System,
    session,
)

SYSTEMS = [CALLSHEET, BULLMQ_MEMORY, BULLMQ_ALWAYS, PGQUEUER, PROCRASTINATE, CELERY_THREADS, CELERY_PREFORK]
ROUNDS = 3
WARM_UPS = 20


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Measure all systems, one after the other in every round."""
    per_round = max(10, sizes.pickups // ROUNDS)
    rounds = min(ROUNDS, sizes.rounds)
    finding = Finding(
        "pickup",
        f"Idle pick-up in ms, submission begun to handler started; {per_round * rounds} jobs, "
        f"{sizes.pause * 1000:.0f} ms apart",
        ["median", "95 %", "99 %", "most", "of Callsheet"],
    )
    waits: dict[str, list[float]] = {system.name: [] for system in SYSTEMS}
    for number in range(rounds):
        for system in SYSTEMS:
            if system.missing() is None:
                progress(f"round {number + 1}/{rounds}: {system.name}")
                with finding.errors_of(system.name), session(system, stores) as running:
                    finding.noise.append(busy_share())
                    waits[system.name] += measure(running, per_round, sizes.pause)
    ours = waits[CALLSHEET.name]
    if not ours:
        raise RuntimeError(f"Callsheet itself was not measured: {finding.errors}")
    finding.rows = [_row(system, waits[system.name], median(ours)) for system in SYSTEMS]
    finding.verdicts = [
        Verdict("median at most 5 ms", milliseconds(median(ours)), median(ours) <= 0.005),
        Verdict("95 % within 15 ms", milliseconds(percentile(ours, 0.95)), percentile(ours, 0.95) <= 0.015),
    ]
    if durable := waits[BULLMQ_ALWAYS.name]:
        verdict = f"{milliseconds(median(ours))} and {milliseconds(median(durable))}"
        finding.verdicts.append(Verdict("no slower than BullMQ as durable", verdict, median(ours) <= median(durable)))
    return finding


def measure(running: Session, jobs: int, pause: float) -> list[float]:
    """Return the seconds that each of so many jobs waited."""
    numbers = list(range(1, WARM_UPS + jobs + 1))
    began = running.client.ask("pickups", numbers=numbers, pause=pause)["began"]
    started = _marks(running, len(numbers))
    return [started[number] - began[str(number)] for number in numbers[WARM_UPS:]]


def _marks(running: Session, wanted: int) -> dict[int, float]:
    """Read when each handler started; the last pause was long enough for the last of them."""
    lines = [line.split() for line in running.marks.read_text().splitlines()]
    marks = {int(number): float(at) for number, at in lines}
    if len(lines) != wanted or len(marks) != wanted:
        raise RuntimeError(f"{len(lines)} starts of {len(marks)} jobs were noted, where {wanted} were submitted")
    return marks


def _row(system: System, waits: list[float], measure: float) -> Row:
    if not waits:
        return skipped(system.name, system.missing() or "it failed")
    shares = [percentile(waits, share) for share in (0.95, 0.99, 1)]
    values = [milliseconds(value) for value in (median(waits), *shares)]
    return Row(system.name, [*values, f"{median(waits) / measure:.2f}×"], {"seconds": waits})
