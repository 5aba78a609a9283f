"""Selection of the jobs that a manual retry runs again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from callsheet.domain.statuses import ENDED, JobStatus, actions_from

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class RetryState:
    """The state of a job that decides whether it is retried."""

    status: JobStatus
    continue_on_failure: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether downstream jobs may run."""
        return self.status is JobStatus.SUCCEEDED or (self.status is JobStatus.FAILED and self.continue_on_failure)

    @property
    def can_retry(self) -> bool:
        """Whether the transition table allows a retry."""
        return "retry" in actions_from(self.status)


def jobs_to_retry(jobs: Mapping[K, RetryState], edges: Iterable[tuple[K, K]], only: K | None = None) -> set[K]:
    """Return the jobs to run again: all that did not succeed, or with `only` that job and its skipped dependents.

    `edges` are (upstream, downstream). The unsuccessful upstream jobs of a retried job are retried too. A skipped
    downstream job is retried when no other upstream job prevents it.
    """
    if only is None:
        return {job for job, state in jobs.items() if state.can_retry}
    upstream: dict[K, list[K]] = {}
    downstream: dict[K, list[K]] = {}
    for before, after in edges:
        upstream.setdefault(after, []).append(before)
        downstream.setdefault(before, []).append(after)
    selected = _with_failed_upstream(only, jobs, upstream)
    pending = [after for job in selected for after in downstream.get(job, [])]
    while pending:
        job = pending.pop()
        ready = all(
            jobs[before].succeeded or before in selected or jobs[before].status not in ENDED
            for before in upstream.get(job, [])
        )
        if job not in selected and jobs[job].status is JobStatus.SKIPPED and ready:
            selected.add(job)
            pending += downstream.get(job, [])
    return selected


def _with_failed_upstream(job: K, jobs: Mapping[K, RetryState], upstream: Mapping[K, list[K]]) -> set[K]:
    selected = {job}
    pending = list(upstream.get(job, []))
    while pending:
        before = pending.pop()
        if before not in selected and not jobs[before].succeeded and jobs[before].can_retry:
            selected.add(before)
            pending += upstream.get(before, [])
    return selected
