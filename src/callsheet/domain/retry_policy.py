"""Which jobs run again when a person asks for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from callsheet.domain.statuses import ENDED, JobStatus, actions_from

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class RetryState:
    """How a job stands in its graph."""

    status: JobStatus
    continue_on_failure: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether jobs downstream may run."""
        return self.status is JobStatus.SUCCEEDED or (self.status is JobStatus.FAILED and self.continue_on_failure)

    @property
    def can_retry(self) -> bool:
        """Whether the table of moves allows a retry."""
        return "retry" in actions_from(self.status)


def jobs_to_retry(jobs: Mapping[K, RetryState], edges: Iterable[tuple[K, K]], only: K | None = None) -> set[K]:
    """Return the jobs to run again: everything that did not succeed, or with `only` that job and what hangs on it.

    `edges` are (upstream, downstream). A job that runs again needs those of its upstream jobs that did not end well;
    jobs that were skipped because of it run again as soon as nothing else stands in their way.
    """
    if only is None:
        return {job for job, standing in jobs.items() if standing.can_retry}
    upstream: dict[K, list[K]] = {}
    downstream: dict[K, list[K]] = {}
    for before, after in edges:
        upstream.setdefault(after, []).append(before)
        downstream.setdefault(before, []).append(after)
    wanted = _with_needed(only, jobs, upstream)
    waiting = [after for job in wanted for after in downstream.get(job, [])]
    while waiting:
        job = waiting.pop()
        ready = all(
            jobs[before].succeeded or before in wanted or jobs[before].status not in ENDED
            for before in upstream.get(job, [])
        )
        if job not in wanted and jobs[job].status is JobStatus.SKIPPED and ready:
            wanted.add(job)
            waiting += downstream.get(job, [])
    return wanted


def _with_needed(job: K, jobs: Mapping[K, RetryState], upstream: Mapping[K, list[K]]) -> set[K]:
    wanted = {job}
    waiting = list(upstream.get(job, []))
    while waiting:
        before = waiting.pop()
        if before not in wanted and not jobs[before].succeeded and jobs[before].can_retry:
            wanted.add(before)
            waiting += upstream.get(before, [])
    return wanted
